"""Proving a manifest: what it says of reads, undos, probes and resources is tried on a server with a scratch state.

    scratch    the server as it is seen here: calls, answers, and the trail of what was done to its state
    generate   arguments from schemas, seeded by values that were seen
    observe    the state as the reads of the manifest show it
    trials     one try of one tool, and what can be wrong with it
    shrink     making a counter-example small
    verify     all tools, many tries, several fresh servers

A proof is a search that found nothing: it cannot see what no read of the manifest shows. Nothing here starts a server;
whoever calls `verify` hands over how.
"""

from spec_mcp.manifest.verifying.scratch import Answer, Call, Server, ServerLost, Start
from spec_mcp.manifest.verifying.trials import Fault
from spec_mcp.manifest.verifying.verify import Found, Plan, Verdict, verify

__all__ = ["Answer", "Call", "Fault", "Found", "Plan", "Server", "ServerLost", "Start", "Verdict", "verify"]
