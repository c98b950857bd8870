"""What every script begins with: one line instead of a traceback where its modules are not installed, as in a Python
that is not Debian's. SPDX-License-Identifier: Apache-2.0"""

import sys
from pathlib import Path


def explain_missing_modules():
    """To be called before the first module that does not come with Python is imported."""
    sys.excepthook = _explain


def _explain(kind, error, traceback):
    if not issubclass(kind, ModuleNotFoundError):
        sys.__excepthook__(kind, error, traceback)
        return
    script = Path(sys.argv[0])
    print(f"{script.name}: no module {error.name} in {sys.executable}; try /usr/bin/python3 {script}, or before that "
          f"{Path(__file__).parent / 'install.sh'} plot learn", file=sys.stderr)
    sys.exit(2)
