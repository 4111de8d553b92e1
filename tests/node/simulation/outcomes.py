"""What a small simulation came to, made up."""

from __future__ import annotations

from node.simulation.outcome import Final, Outcome, RoundRow, Spread


def outcome(control: bool = True, finished: bool = True) -> Outcome:
    """Three rounds of ten people."""

    def gain(mean: float) -> Spread:
        return Spread(mean, mean - 0.1, mean - 2, mean - 3, 10)

    rows = [
        RoundRow(
            number=number,
            time=600.0 * number,
            gain=gain(2.0 * number),
            alone=gain(1.5 * number) if control else None,
            worse_than_alone=10.0 if control else None,
            online=9,
            accepted=0.95,
            messages=27,
            sent=200_000,
            seconds=0.5,
            cpu_seconds=0.4,
        )
        for number in (1, 2, 3)
    ]
    final = Final(
        rmse_db=2.1,
        genesis_rmse_db=2.2,
        gain=gain(6.0),
        alone=gain(4.5) if control else None,
        worse_than_alone=10.0 if control else None,
        largest_loss=0.7 if control else None,
        gains=[5.0, 6.0, 7.0],
        gains_alone=[3.0, 4.5, 6.0] if control else [],
    )
    return Outcome(
        settings={"rounds": 3, "speech": "<b>somewhere</b>"},
        speech="Made people.",
        people=10,
        hostile=0,
        parameters=19696,
        rounds=rows,
        final=final if finished else None,
        seconds_per_round=0.5,
        cpu_ms_per_person_round=4.4,
        bytes_per_person_round=20_000.0,
        memory_mb=300.0,
        version="0",
    )
