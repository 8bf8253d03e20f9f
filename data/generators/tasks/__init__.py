"""Tasks with one right answer, and what decides which operations are held out."""
