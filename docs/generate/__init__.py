"""What the documents show that is made from the code: quoted files, tables of keys and rooms, drawings, pictures."""
