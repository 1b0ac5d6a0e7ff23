//! The gateway's listeners: on which port of a network namespace, and whether the one that is there is ours.

use aya_ebpf::{
    bindings::{
        bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
    },
    helpers::generated::{bpf_sk_lookup_tcp, bpf_sk_release, bpf_sk_storage_get},
};
use core::{ffi::c_void, mem::size_of, ptr};
use portreeve_abi::Settings;

use crate::{
    context::LOOPBACK4,
    maps::{LISTENERS, NAMESPACES},
};

/// `BPF_F_CURRENT_NETNS`: look in the network namespace of the calling socket, or of the packet's device.
const CURRENT_NETNS: u64 = u64::MAX;

/// The loopback listener that serves a destination: IPv4 and v4-mapped IPv6 go to `127.0.0.1`, the rest to `::1`.
#[derive(Clone, Copy, PartialEq)]
pub enum Loopback {
    V4,
    V6,
}

/// Who listens.
#[derive(Clone, Copy, PartialEq)]
pub enum Found {
    Ours,
    Foreign,
    Nobody,
}

/// The gateway's port in a network namespace; 0 where it has not listened yet. The daemon has one port of the same number in
/// every namespace, unless it was taken there.
#[inline(always)]
pub fn known_port(netns_cookie: u64, settings: &Settings) -> u16 {
    if netns_cookie == settings.netns_cookie {
        return settings.proxy_port;
    }
    // SAFETY: an aligned u32 in the map, read at once; the daemon only ever stores whole values.
    NAMESPACES.get_ptr(netns_cookie).map_or(0, |port| unsafe { port.read_volatile() } as u16)
}

/// Whether the gateway listens on this port of a network namespace, or held connects were sent there.
#[inline(always)]
pub fn is_port(port: u16, netns_cookie: u64, settings: &Settings) -> bool {
    port == settings.proxy_port || port == known_port(netns_cookie, settings)
}

/// Looks for a listener in the context's network namespace.
///
/// # Safety
/// `ctx` must be the context of a program that may call `bpf_sk_lookup_tcp`.
#[inline(always)]
pub unsafe fn find(ctx: *mut c_void, listener: Loopback, port: u16, tag: u64) -> Found {
    // SAFETY: all zero is a valid value of this union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let port = port.to_be();
    let size = match listener {
        Loopback::V4 => {
            let ip = u32::from_ne_bytes(LOOPBACK4);
            tuple.__bindgen_anon_1.ipv4 =
                bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 { saddr: ip, daddr: ip, sport: 0, dport: port };
            size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1>()
        }
        Loopback::V6 => {
            let ip = [0, 0, 0, 1u32.to_be()];
            tuple.__bindgen_anon_1.ipv6 =
                bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 { saddr: ip, daddr: ip, sport: 0, dport: port };
            size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2>()
        }
    };
    // SAFETY: the context is the caller's promise; the tuple lives on this stack, `size` is that of the variant written.
    let sk = unsafe { bpf_sk_lookup_tcp(ctx, &mut tuple, size as u32, CURRENT_NETNS, 0) };
    if sk.is_null() {
        return Found::Nobody;
    }
    // SAFETY: `sk` is a referenced socket until the release below, which every path reaches; the storage value, if any,
    // is a u64 that the daemon wrote by the listener's descriptor.
    unsafe {
        let mark = bpf_sk_storage_get(ptr::from_ref(&LISTENERS).cast_mut().cast(), sk.cast(), ptr::null_mut(), 0);
        let ours = !mark.is_null() && *mark.cast::<u64>() == tag;
        bpf_sk_release(sk.cast());
        if ours { Found::Ours } else { Found::Foreign }
    }
}
