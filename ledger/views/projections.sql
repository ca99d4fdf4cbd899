-- view: The read models: their version and how far they have read. Operational.
-- projection: The projection's name.
-- version: The version of its rules.
-- checkpoint: The next position that it will read.
-- failure: Why it stopped; empty when it runs.
select projection, version, checkpoint, failure from projection_state
