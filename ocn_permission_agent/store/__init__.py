"""The embedded database engine: one file, one writer, numbered migrations. Knows nothing of what is kept in it."""
