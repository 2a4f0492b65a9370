"""What a framework is to the engine, and JAX as one of them."""
