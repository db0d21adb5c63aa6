"""Configurations as people have them: each client's own, in good and in odd shape."""

from __future__ import annotations

CLAUDE_DESKTOP = """\
{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/ada/Desktop", "/Users/ada/Notes"]
    },
    "github": {
      "command": "docker",
      "args": [
        "run",
        "-i",
        "--rm",
        "-e",
        "GITHUB_PERSONAL_ACCESS_TOKEN",
        "ghcr.io/github/github-mcp-server"
      ],
      "env": {
        "GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_S3cr3tS3cr3tS3cr3tS3cr3t"
      }
    },
    "time": { "command": "uvx", "args": ["mcp-server-time", "--local-timezone=Europe/Wien"] },
    "plain": { "command": "/usr/local/bin/plain-server" }
  },
  "globalShortcut": "Ctrl+Space",
  "preferences": { "menuBarEnabled": false, "scale": 1.25e0 }
}
"""

DESKTOP_MINIFIED = (
    '{"mcpServers":{"a":{"command":"npx","args":["-y","a"]},"b":{"command":"node"},'
    '"c":{"command":"uvx","args":[],"env":{}}},"x":[1,2,{}]}'
)

DESKTOP_ODD = (
    '\ufeff{\r\n\t"mcpServers" :\r\n\t{\r\n\t\t"größe \\u00fc 😀" : {\t"args" : [ "-y" ,"ein paket" ] ,'
    '\r\n\r\n\t\t\t\t"command":"npx", "env" : null },\r\n\t\t"null args": {"command":"node","args":null}\r\n\t}\r\n}'
)

DESKTOP_WINDOWS = """\
{
    "mcpServers": {
        "memory": {
            "command": "cmd",
            "args": ["/c", "npx", "-y", "@modelcontextprotocol/server-memory"],
            "env": { "MEMORY_FILE_PATH": "C:\\\\Users\\\\ada\\\\memory.json" }
        },
        "exe": { "command": "C:\\\\Program Files\\\\nodejs\\\\node.exe", "args": ["server.js"] }
    }
}
""".replace("\n", "\r\n")

CLAUDE_CODE = """\
{
  "numStartups": 184,
  "installMethod": "native",
  "userID": "5f0c1e5b2d4a47f4b0a8c1f2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2",
  "oauthAccount": { "accountUuid": "s3cr3t-account", "emailAddress": "ada@example.com" },
  "projects": {
    "/home/ada/shop": {
      "allowedTools": [],
      "history": [{ "display": "why is \\"x\\" // not a comment?", "pastedContents": {} }],
      "mcpServers": {
        "postgres": {
          "type": "stdio",
          "command": "npx",
          "args": ["-y", "@modelcontextprotocol/server-postgres", "postgresql://ada:s3cr3t@localhost/shop"],
          "env": {}
        }
      },
      "enabledMcpjsonServers": [],
      "hasTrustDialogAccepted": true
    },
    "/home/ada/empty": { "allowedTools": [], "mcpServers": {} },
    "/home/ada/none": { "allowedTools": [] },
    "/home/ada/twin": {
      "mcpServers": {
        "postgres": {
          "type": "stdio",
          "command": "npx",
          "args": ["-y", "@modelcontextprotocol/server-postgres", "postgresql://ada:s3cr3t@localhost/shop"],
          "env": {}
        }
      }
    }
  },
  "mcpServers": {
    "context7": { "type": "http", "url": "https://mcp.context7.com/mcp", "headers": { "C7_API_KEY": "${C7_KEY}" } },
    "asana": { "type": "sse", "url": "https://mcp.asana.com/sse" },
    "linear": { "type": "http", "url": "https://mcp.linear.app/mcp", "oauth": { "clientId": "abc" } },
    "memory": { "type": "stdio", "command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"], "env": {} }
  },
  "tipsHistory": { "new-user-warmup": 3 }
}
"""

CLAUDE_CODE_PROJECT = """\
{
  "mcpServers": {
    "api": {
      "type": "http",
      "url": "${API_BASE_URL:-https://api.example.com}/mcp",
      "headers": {
        "Authorization": "Bearer ${API_KEY}"
      }
    },
    "shell": { "command": "${SHELL_SERVER:-/opt/shell}", "args": ["--root", "${PWD}"], "env": { "KEY": "${KEY}" } }
  }
}
"""

CURSOR = """\
{
  // Cursor takes comments, although JSON does not
  "mcpServers": {
    "figma": {
      "url": "http://127.0.0.1:3845/mcp", // the desktop app
    },
    /* the one at work,
       with a key */
    "exa": {
      "url": "https://mcp.exa.ai/mcp?exaApiKey=s3cr3t-exa",
      "headers": { "x-a": "1", "x-b": "${env:X_B}" },
    },
    "playwright": {
      "command": "npx",
      "args": [
        "@playwright/mcp@latest",   // newest
        "--browser", "chromium",
      ],
      "envFile": "${workspaceFolder}/.env",
    },
    "both": { "url": "https://example.com/mcp", "headers": { "X-Key": "s3cr3t-key" }, "env": { "X": "1" } },
    "off": { "command": "npx", "args": ["-y", "off"], "disabled": true },
  },
}
"""

VSCODE = """\
{
\t"inputs": [
\t\t{ "type": "promptString", "id": "perplexity-key", "description": "Perplexity API Key", "password": true }
\t],
\t"servers": {
\t\t// https://github.com/ppl-ai/modelcontextprotocol/
\t\t"Perplexity": {
\t\t\t"type": "stdio",
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "server-perplexity-ask"],
\t\t\t"env": {
\t\t\t\t"PERPLEXITY_API_KEY": "${input:perplexity-key}"
\t\t\t}
\t\t},
\t\t"files": {
\t\t\t"type": "stdio", "command": "node",
\t\t\t"args": ["${workspaceFolder}/server.js", "${userHome}"], "cwd": "${workspaceFolder}"
\t\t},
\t\t"github": {
\t\t\t"type": "http",
\t\t\t"url": "https://api.githubcopilot.com/mcp/",
\t\t\t"headers": { "Authorization": "Bearer ${input:perplexity-key}" }
\t\t},
\t\t"old": { "type": "sse", "url": "http://localhost:8080/events" }
\t}
}
"""

GEMINI = """\
{
  "theme": "GitHub",
  "selectedAuthType": "oauth-personal",
  // what I use at home
  "mcpServers": {
    "git": { "command": "uvx", "args": ["mcp-server-git"], "timeout": 30000, "trust": true },
    "github": {
      "httpUrl": "https://api.githubcopilot.com/mcp/",
      "headers": { "Authorization": "Bearer $GITHUB_TOKEN", "Accept": "application/json, text/event-stream" },
      "timeout": 5000
    },
    "events": { "url": "http://localhost:8080/stream", "includeTools": ["a", "b"], "excludeTools": ["c"] },
    "cloud": { "httpUrl": "https://run.example.com/mcp", "authProviderType": "google_credentials" }
  },
  "mcp": { "allowed": ["git", "github"] }
}
"""

CODEX = """\
model = "gpt-5.2-codex"   # the big one
approval_policy = "on-request"

[projects."/home/ada/shop"]
trust_level = "trusted"

# my servers
[mcp_servers.context7]  # docs
command = "npx"         # node
args = ["-y", "@upstash/context7-mcp"]
startup_timeout_sec = 20

[mcp_servers.context7.env]
LOG = "s3cr3t-log"

[mcp_servers.files]
args = [
    "-y",      # yes
    'C:\\server',
]
command = 'npx'
enabled = false

[tui]
notifications = true

[mcp_servers.figma]
url = "https://mcp.figma.com/mcp"
bearer_token_env_var = "FIGMA_TOKEN"
http_headers = { "X-Figma-Region" = "s3cr3t-region" }

[mcp_servers."with space"]
url = "https://example.com/mcp"
[mcp_servers."with space".http_headers]
"X-One" = "s3cr3t-one"
Two = '''s3cr3t
two'''
[mcp_servers."with space".env_http_headers]
"X-Three" = "THREE"
"""

CODEX_ODD = (
    '[[profiles]]\r\nname = "x"\r\n[profiles.sub]\r\ny = 1\r\n[[profiles]]\r\nname = "z"\r\n\r\n[mcp_servers]\r\n'
    'one = { command = "npx", args = ["-y", "one"], env = { A.b = "1", A.c = "2" } }\r\n'
    'two.command = "node"\r\ntwo.env.KEY = """s3cr3t\r\nkey"""\r\n'
    'three = { url = "https://example.com/mcp", bearer_token_env_var = "T", env_http_headers = { a = "B" } }\r\n'
    '\r\n\t[ mcp_servers . "four" ]\r\n\tcommand = "uvx"\r\n\targs = []\r\n[other]\r\nwhen = 2026-11-22 08:00:00'
)

CODEX_INLINE = (
    'mcp_servers = { a = { command = "npx" }, b = { command = "node", args = ["x"] }, c.url = "https://e.org/mcp" }\n'
)

CODEX_DOTTED = 'mcp_servers.a.command = "npx"\nmcp_servers.a.args = ["a"]\nmcp_servers.b.command = "node"\nx = 1\n'

SAMPLES = {
    "claude-desktop: as documented": ("claude-desktop", CLAUDE_DESKTOP),
    "claude-desktop: minified": ("claude-desktop", DESKTOP_MINIFIED),
    "claude-desktop: BOM, CRLF, tabs, unicode": ("claude-desktop", DESKTOP_ODD),
    "claude-desktop: Windows": ("claude-desktop", DESKTOP_WINDOWS),
    "claude-code: with projects": ("claude-code", CLAUDE_CODE),
    "claude-code: a project's": ("claude-code", CLAUDE_CODE_PROJECT),
    "cursor: comments and last commas": ("cursor", CURSOR),
    "cursor: all in one line": ("cursor", '{ "mcpServers": { "a": { "command": "npx", "args": [ "x" ] } } }\n'),
    "vscode: inputs, tabs": ("vscode", VSCODE),
    "vscode: CRLF": ("vscode", VSCODE.replace("\n", "\r\n")),
    "gemini: comments": ("gemini", GEMINI),
    "gemini: no line end": ("gemini", GEMINI.rstrip()),
    "codex: as documented": ("codex", CODEX),
    "codex: odd": ("codex", CODEX_ODD),
    "codex: inline": ("codex", CODEX_INLINE),
    "codex: dotted": ("codex", CODEX_DOTTED),
}
"""By name: the client and the text."""

SECRETS = ("s3cr3t", "S3cr3t")
"""All secrets in them hold one of these."""

WITHOUT_SERVERS = {
    "nothing at all": ("claude-desktop", ""),
    "blanks": ("cursor", " \n\t\n"),
    "no table of servers": ("claude-desktop", '{ "globalShortcut": "" }'),
    "an empty table": ("vscode", '{ "servers": {} }'),
    "null": ("gemini", '{ "mcpServers": null }'),
    "comments alone": ("cursor", "// nothing yet\n{ /* really */ }"),
    "empty TOML": ("codex", ""),
    "an empty table of TOML": ("codex", "[mcp_servers]\n"),
}

BROKEN = {
    "an open table": ("claude-desktop", '{\n  "mcpServers": {\n    "a": {"command": "npx"}\n', "line 4, column 1"),
    "no comma": ("claude-desktop", '{\n  "a": 1\n  "b": 2\n}', "line 3, column 3"),
    "no colon": ("cursor", '{\n  "a" 1\n}', "line 2, column 7"),
    "single quotes": ("cursor", "{\n  'a': 1\n}", "line 2, column 3"),
    "no value": ("gemini", '{\n  "a": ,\n}', "line 2, column 8"),
    "a word": ("vscode", '{\n  "a": yes\n}', "line 2, column 8"),
    "an open text": ("vscode", '{\n  "a": "b\n}', "line 2, column 8"),
    "a wrong escape": ("vscode", '{\n  "a": "C:\\Users"\n}', "line 2, column 8"),
    "an open comment": ("cursor", '{\n  /* "a": 1\n}', "line 2, column 3"),
    "something behind": ("claude-code", "{}\n{}", "line 2, column 1"),
    "two commas": ("claude-code", '{"a": 1,,}', "line 1, column 9"),
    "no table": ("claude-desktop", "[]", "must be a table"),
    "a list of servers": ("claude-desktop", '{"mcpServers": []}', "mcpServers: must be a table"),
    "projects are no table": ("claude-code", '{"projects": 1}', "projects: must be a table"),
    "deep": ("claude-desktop", "[" * 200, "line 1, column 102"),
    "TOML: no value": ("codex", "a = 1\nb =\n", "line 2"),
    "TOML: twice": ("codex", '[mcp_servers.a]\ncommand = "x"\ncommand = "y"\n', "line 3"),
    "TOML: an open text": ("codex", 'a = "x\n', "line 1"),
    "TOML: servers are no table": ("codex", "mcp_servers = 1\n", "mcp_servers: must be a table"),
    "TOML: servers are a list": ("codex", "[[mcp_servers]]\n", "mcp_servers"),
}
"""By name: the client, the text, and what must be said of where."""
