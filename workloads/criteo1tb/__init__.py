"""Click-through rates of online advertisements with a network of embeddings and their interactions."""
