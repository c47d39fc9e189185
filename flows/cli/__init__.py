"""The `aura` command line, one file per group of commands. Imports that take seconds happen inside the commands."""
