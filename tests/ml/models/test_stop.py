"""What is stopped ends at once, also where nothing comes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from ml.models.stop import Stop


class Response:
    """As much of a response as is asked for."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.extensions = {"network_stream": self} if connection else {}
        self.connection = connection

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self.connection


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_a_reader_of_a_silent_connection_is_woken(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    stop, reads, came = Stop(), threading.Event(), []

    def read() -> None:
        with stop.ends(Response(here)):
            reads.set()
            came.append(here.recv(10))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert reads.wait(10)
    stop.set()
    thread.join(10)
    assert came == [b""]


def test_what_begins_too_late_ends_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    stop = Stop()
    stop.set()
    with stop.ends(Response(here)):
        assert here.recv(10) == b""
    assert stop.wait(60)


def test_what_is_over_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    stop = Stop()
    with stop.ends(Response(here)), stop.ends(Response(None)):
        assert not stop.is_set()
    stop.set()
    there.send(b"more")
    assert here.recv(10) == b"more"


def test_a_connection_that_is_closed_already_is_no_trouble(pair: tuple[socket.socket, socket.socket]) -> None:
    here, _ = pair
    stop = Stop()
    with stop.ends(Response(here)):
        here.close()
        stop.set()
    assert stop.is_set()
