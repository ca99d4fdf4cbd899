-- view: The size and root of the log after each append.
-- size: How many events the log had.
-- root: The root hash of its Merkle tree, hexadecimal.
-- recorded_at: When (UTC).
select size, hex_text(root) as root, recorded_at from log_tree_head
