"""Which process model really runs, whether it is the desired one, and how traffic moves from one to another."""
