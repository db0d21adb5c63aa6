"""Which environment variables tell one server's store from another's.

A client hands a server its own environment and what the user set for it, and does not say which is which. Variables
that differ from one terminal or session to the next are known by their names and left out: if they counted, two
sessions would take the one store that they share for two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OF_A_SESSION = re.compile(
    r"""_\w*|PATH|MANPATH|INFOPATH|PWD|OLDPWD|SHLVL|SHELL|LANG|LANGUAGE|TZ|USER|LOGNAME|USERNAME|MAIL|HOSTNAME|HOSTTYPE
    |TMP|TEMP|TMPDIR|LINES|COLUMNS|EDITOR|VISUAL|PAGER|BROWSER|DISPLAY|WINDOWID|DESKTOP_SESSION|STY|PS[124]|IFS
    |COLORTERM|COLORFGBG|NO_COLOR|FORCE_COLOR|CLICOLOR|LS_COLORS|LSCOLORS|LESS\w*|PROMPT\w*|HIST\w*
    |INVOCATION_ID|JOURNAL_STREAM|MEMORY_PRESSURE_\w+|NOTIFY_SOCKET|SYSTEMD_\w+|SECURITYSESSIONID|COMMAND_MODE
    |(LC|TERM|XDG|SSH|GPG|DBUS|WAYLAND|GTK|QT|KDE|GNOME|TMUX|ITERM|KITTY|WEZTERM|ALACRITTY|KONSOLE|VTE|ZELLIJ)(_\w+)?
    |(VSCODE|CURSOR|ELECTRON|CHROME|CLAUDE|CLAUDECODE|CODEX|GEMINI|OTEL|SPEC_MCP|PYTEST|COVERAGE|DIRENV|STARSHIP)(_\w+)?
    |(NVM|NPM|npm|NODE|PNPM|BUN|VOLTA|FNM|PYENV|RBENV|VIRTUAL|CONDA|UV|PIP|HOMEBREW|CARGO|RUSTUP|SDKMAN|ASDF|MISE)(_\w+)?
    |XPC_\w+|Apple_\w+|SUDO_\w+|GIT_(ASKPASS|EDITOR|PAGER)|PYTHON\w+|TRACEPARENT|TRACESTATE""",
    re.VERBOSE,
)
"""Names, whole, of variables that say where and how a client runs, and nothing of what its servers keep."""


def telling(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of those that count."""
    return tuple(sorted(name for name in environ if OF_A_SESSION.fullmatch(name) is None))
