//! The engine's real world: sockets, clock, threads, configuration
