# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recorded hosts of the tests, as code: what each machine looks like in sysfs."""
