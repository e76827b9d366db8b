"""`python -m og_magics`: the same as `og-magics`."""

import sys

from .cli import main

sys.exit(main())
