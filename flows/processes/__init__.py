"""What one command has running: on a leash, so that all of it ends with its holder. Knows no tool."""
