//! Empty: `gateway-user` depends on this library so that Cargo rebuilds the daemon when the kernel programs change.
#![no_std]
