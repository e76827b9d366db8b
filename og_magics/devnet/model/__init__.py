"""The practice network's model: prepared answers, and for every other question a sample that says that it is one.

`prepared` finds an answer in `answers/`, `simulated` makes a provider's reply of it, `script` has the words by which a
test steers it, `request` reads what was asked, `schema` makes examples, `protocol` is what a gateway knows of one.
"""

from __future__ import annotations
