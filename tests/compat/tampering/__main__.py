"""Print the table; end with 1 where a change is missed, or another cell is accused."""

import sys

from .counts import lines_of, notebooks, table

found = table(notebooks())
print("\n".join(lines_of(found)))
missed = [f"{line.kind}: {one}" for line in found for one in line.missed]
print("\n".join(missed))
sys.exit(bool(missed))
