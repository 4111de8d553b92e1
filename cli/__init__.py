"""The door: commands, tables and progress bars. It knows nothing of tensors or sockets."""
