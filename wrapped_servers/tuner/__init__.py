"""A knob of the running Linux as an MCP server: `python -m wrapped_servers.tuner`.

Threads that answer requests share one processor with threads that only compute. The knob is the time slice that the
answering ones ask of EEVDF, the kernel's scheduler: a short one has an early deadline and is served soon, a long one
waits. Nothing here knows of spec-mcp.

    knob      the slice of a thread, by sched_setattr: Linux 6.12 or newer, without privileges
    worker    one process of the workload
    workload  the workload on one processor, with what its requests took
    model     a simulation of the same under EEVDF, for kernels without the knob
    server    MCP: measure, set_slice, reset
"""
