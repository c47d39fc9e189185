"""Steps of the schema, oldest first by their numbers. A step that has been released is never changed."""
