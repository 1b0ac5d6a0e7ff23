//! Reading and writing `bpf_sock_addr`, one `u32` at a time and volatile.
//!
//! The verifier rewrites each access to a context field; a load merged by the compiler into a wider one is rejected.

use aya_ebpf::{bindings::bpf_sock_addr, helpers::generated::bpf_sk_storage_get, programs::SockAddrContext};
use core::ptr::{self, addr_of, addr_of_mut, read_volatile, write_volatile};

use crate::{maps::CREATORS, scope};

pub const SOCK_STREAM: u32 = 1;
/// Index of `lo` in every network namespace (`net/core/dev.c`: it is the first device registered).
pub const LOOPBACK_DEVICE: u32 = 1;
pub const LOOPBACK4: [u8; 4] = [127, 0, 0, 1];
pub const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The address of the call, 16 bytes in network order, v4-mapped for IPv4, and its port in host order.
#[derive(Clone, Copy)]
pub struct Address {
    pub ip: [u8; 16],
    pub port: u16,
}

/// Whether an address is an IPv4 one (`portreeve_abi::mapped`).
#[inline(always)]
pub fn is_mapped(ip: &[u8; 16]) -> bool {
    u64::from_ne_bytes([ip[0], ip[1], ip[2], ip[3], ip[4], ip[5], ip[6], ip[7]]) == 0
        && u32::from_be_bytes([ip[8], ip[9], ip[10], ip[11]]) == 0xffff
}

fn raw(ctx: &SockAddrContext) -> *mut bpf_sock_addr {
    ctx.sock_addr
}

/// Destination port of the call, in host order.
#[inline(always)]
pub fn port(ctx: &SockAddrContext) -> u16 {
    // SAFETY: the kernel passes a valid context for the program's life; `user_port` is a readable field, network order
    // in the low 16 bits.
    let port = unsafe { read_volatile(addr_of!((*raw(ctx)).user_port)) };
    u16::from_be(port as u16)
}

/// `SOCK_STREAM`, `SOCK_DGRAM`, …
#[inline(always)]
pub fn socket_type(ctx: &SockAddrContext) -> u32 {
    // SAFETY: as in `port`; `type` is a readable field.
    unsafe { read_volatile(addr_of!((*raw(ctx)).type_)) }
}

#[inline(always)]
pub fn address4(ctx: &SockAddrContext) -> Address {
    // SAFETY: as in `port`; `user_ip4` is a readable field in network order.
    let ip = unsafe { read_volatile(addr_of!((*raw(ctx)).user_ip4)) };
    Address { ip: portreeve_abi::mapped(ip.to_ne_bytes()), port: port(ctx) }
}

#[inline(always)]
pub fn address6(ctx: &SockAddrContext) -> Address {
    // SAFETY: as in `port`; `user_ip6` is four readable words in network order.
    let [a, b, c, d] = unsafe {
        let words = addr_of!((*raw(ctx)).user_ip6).cast::<u32>();
        [
            read_volatile(words).to_ne_bytes(),
            read_volatile(words.add(1)).to_ne_bytes(),
            read_volatile(words.add(2)).to_ne_bytes(),
            read_volatile(words.add(3)).to_ne_bytes(),
        ]
    };
    let ip = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]];
    Address { ip, port: port(ctx) }
}

#[inline(always)]
pub fn set_address4(ctx: &SockAddrContext, ip: [u8; 4], port: u16) {
    // SAFETY: `user_ip4` and `user_port` are writable in connect and getpeername programs.
    unsafe {
        write_volatile(addr_of_mut!((*raw(ctx)).user_ip4), u32::from_ne_bytes(ip));
        write_volatile(addr_of_mut!((*raw(ctx)).user_port), u32::from(port.to_be()));
    }
}

#[inline(always)]
pub fn set_address6(ctx: &SockAddrContext, ip: [u8; 16], port: u16) {
    // SAFETY: `user_ip6` and `user_port` are writable in connect and getpeername programs.
    unsafe {
        let words = addr_of_mut!((*raw(ctx)).user_ip6).cast::<u32>();
        write_volatile(words, u32::from_ne_bytes([ip[0], ip[1], ip[2], ip[3]]));
        write_volatile(words.add(1), u32::from_ne_bytes([ip[4], ip[5], ip[6], ip[7]]));
        write_volatile(words.add(2), u32::from_ne_bytes([ip[8], ip[9], ip[10], ip[11]]));
        write_volatile(words.add(3), u32::from_ne_bytes([ip[12], ip[13], ip[14], ip[15]]));
        write_volatile(addr_of_mut!((*raw(ctx)).user_port), u32::from(port.to_be()));
    }
}

/// Index of the device the socket is bound to (`SO_BINDTODEVICE`), 0 for none.
#[inline(always)]
pub fn bound_device(ctx: &SockAddrContext) -> u32 {
    // SAFETY: `sk` is a readable field that holds a socket pointer the verifier knows; `bound_dev_if` is readable in it.
    unsafe {
        let sk = read_volatile(addr_of!((*raw(ctx)).__bindgen_anon_1.sk));
        if sk.is_null() { 0 } else { read_volatile(addr_of!((*sk).bound_dev_if)) }
    }
}

/// The tagged cgroup that made the socket; 0 when none did, or none that is tagged still.
#[inline(always)]
pub fn creator(ctx: &SockAddrContext) -> u64 {
    // SAFETY: `sk` is a readable field that holds a socket pointer the verifier knows; the storage value, if any, is a u64
    // that `sock_create` wrote.
    let id = unsafe {
        let sk = read_volatile(addr_of!((*raw(ctx)).__bindgen_anon_1.sk));
        if sk.is_null() {
            return 0;
        }
        let id = bpf_sk_storage_get(ptr::from_ref(&CREATORS).cast_mut().cast(), sk.cast(), ptr::null_mut(), 0);
        if id.is_null() { 0 } else { *id.cast::<u64>() }
    };
    if id != 0 && scope::is_tagged(id) { id } else { 0 }
}

/// Four words of a context or a socket as 16 bytes, read one at a time: the verifier rejects wider loads.
///
/// # Safety
/// `first` must be the first of four readable words of the program's context or of a socket it may read.
#[inline(always)]
pub unsafe fn words(first: *const u32) -> [u8; 16] {
    // SAFETY: as the caller promises.
    let [a, b, c, d] = unsafe {
        [
            read_volatile(first).to_ne_bytes(),
            read_volatile(first.add(1)).to_ne_bytes(),
            read_volatile(first.add(2)).to_ne_bytes(),
            read_volatile(first.add(3)).to_ne_bytes(),
        ]
    };
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
}
