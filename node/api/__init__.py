"""The control API of a running node: HTTP on loopback, for the commands and the local page."""
