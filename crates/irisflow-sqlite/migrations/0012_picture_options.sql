-- How the picture of a job is to be made, as JSON; NULL for the defaults.
ALTER TABLE jobs ADD COLUMN options TEXT;
