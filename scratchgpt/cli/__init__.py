"""The commands: flags in, exit code out, one clear line for every mistake."""
