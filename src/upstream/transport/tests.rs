//! Lanes, budgets and replays against servers on real sockets.
