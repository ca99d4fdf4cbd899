"""HCL as text: the top-level pieces of a file, and the bodies that they declare.

The rules are those of the HCL native syntax specification (hashicorp/hcl, hclsyntax/spec.md); values speak
Terraform's JSON syntax. Everything is plain Python and linear in the size of its input: tree-sitter-hcl
1.2 was tried; it takes minutes for some broken files of a few hundred KB, and for long runs of blanks.
"""

from __future__ import annotations

from ledger.hcl.bodies import Block, Body, read
from ledger.hcl.expressions import MAX_DEPTH, MAX_TEMPLATES
from ledger.hcl.literals import HclError, number
from ledger.hcl.pieces import is_json, pieces

__all__ = [
    "MAX_DEPTH",
    "MAX_TEMPLATES",
    "Block",
    "Body",
    "HclError",
    "is_json",
    "number",
    "pieces",
    "read",
]
