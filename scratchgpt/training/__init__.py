"""The loop that all stages share, the one update, what a run leaves on disk and how it goes on."""
