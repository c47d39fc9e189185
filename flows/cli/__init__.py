"""The `aura` command line, one file a group of commands. Imports that take seconds happen inside the commands."""
