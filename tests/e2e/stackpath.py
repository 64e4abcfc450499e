# SPDX-License-Identifier: LGPL-2.1-or-later
"""Importing this makes the modules of tests/stack importable."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "stack"))
