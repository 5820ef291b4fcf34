-- The previews of the running or the successful attempt, as JSON. NULL: none.
ALTER TABLE jobs ADD COLUMN previews TEXT;
