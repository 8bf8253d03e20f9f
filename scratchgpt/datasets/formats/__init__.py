"""The formats in which people have dialogues, preference pairs and tasks: a recogniser and a converter each."""
