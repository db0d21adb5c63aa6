"""The seeded simulation: worlds in virtual time that check the master invariant.

    plan.py        a world drawn from a seed: servers, tools, what the clients will do, what will go wrong
    server.py      a modelled server: resources that change, tools that read and write, quirks
    relay.py       carries the engine's commands out as the relay does, and the clients in front of it
    guessing.py    predictors: one that knows the script, one that lies
    oracle.py      what must hold of every answer, launch and end
    simulation.py  one seed: the world with speculation, and the same world without where the two must be equal
    mutations.py   each rule of the engine, switched off

`python -m tests.sim --seeds 0-99999` runs any number by hand.
"""
