"""This process as one of several replicas, where they share a PostgreSQL store.

    replica     the whole: what the engine asks of the board, and what the others do, as events
    posts       requests under way: posted before they go out, closed when they are over
    held        speculations: offered, shown, taken, and what others offer
    lease       being a member: joining, renewing, being cut off, coming back, burying the dead
    worker      threads with a connection each, so that nothing here waits for another
    identity    who we are, and whether another process is gone

All of it but the workers happens on the loop's thread.
"""
