"""Making and checking the finder's two small networks."""
