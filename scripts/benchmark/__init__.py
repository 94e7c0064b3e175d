"""What `scripts/bench` is made of; `docs/performance.md` says how it measures.

Four kinds of processes take part, so that each can be timed by itself: this program, which only starts and asks; the back end
(`backend`); the contestants, one after another; and the load generator (`load`). The clock is CLOCK_MONOTONIC, which all
processes of a machine share.
"""
