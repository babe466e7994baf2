//! Functions and operators of network addresses.

use std::cmp::Ordering;

use super::argument::{Cidr, Macaddr, Macaddr8};
use super::{Overload, f1, f2};
use crate::encode::{Inet, narrowed, widened};
use crate::error::{Plain, SqlState, unsupported};

type Named = (&'static str, Overload);

fn out_of_range() -> Plain {
    Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range")
}

fn of_two_versions(verb: &str) -> Plain {
    Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("cannot {verb} inet values of different sizes"))
}

/// Whether the second's network is within the first's, and how the lengths of both compare.
fn contains(outer: &Inet, inner: &Inet) -> Option<Ordering> {
    let within =
        outer.v6 == inner.v6 && outer.bits <= inner.bits && inner.number() & outer.mask() == outer.network().number();
    within.then(|| inner.bits.cmp(&outer.bits))
}

fn plus(address: &Inet, number: i128) -> Result<Inet, Plain> {
    let sum = if number < 0 {
        address.number().checked_sub(number.unsigned_abs())
    } else {
        address.number().checked_add(number.unsigned_abs())
    };
    let fits = |sum: &u128| address.v6 || u32::try_from(*sum).is_ok();
    sum.filter(fits).map(|sum| address.with_number(sum)).ok_or_else(out_of_range)
}

fn minus(left: &Inet, right: &Inet) -> Result<i64, Plain> {
    if left.v6 != right.v6 {
        return Err(of_two_versions("subtract"));
    }
    let distance = i64::try_from(left.number().abs_diff(right.number())).ok();
    let signed = distance.map(|distance| if left.number() < right.number() { -distance } else { distance });
    signed.ok_or_else(out_of_range)
}

fn by_bits(left: &Inet, right: &Inet, verb: &str, of: impl Fn(u128, u128) -> u128) -> Result<Inet, Plain> {
    if left.v6 != right.v6 {
        return Err(of_two_versions(verb));
    }
    Ok(Inet { bits: left.bits.max(right.bits), ..left.with_number(of(left.number(), right.number())) })
}

fn with_bits(address: &Inet, bits: i32) -> Result<Inet, Plain> {
    let invalid = || Plain::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid mask length: {bits}"));
    let bits = if bits == -1 { Ok(address.width()) } else { u8::try_from(bits) };
    let bits = bits.ok().filter(|bits| *bits <= address.width());
    Ok(Inet { bits: bits.ok_or_else(invalid)?, ..*address })
}

/// The smallest network that has both.
fn merged(left: &Inet, right: &Inet) -> Result<Cidr, Plain> {
    if left.v6 != right.v6 {
        let message = "cannot merge addresses from different families";
        return Err(Plain::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let differing = (left.number() ^ right.number()).leading_zeros() - (128 - u32::from(left.width()));
    let common = u8::try_from(differing).unwrap_or(left.width());
    let network = Inet { bits: common.min(left.bits).min(right.bits), ..*left };
    Ok(Cidr(network.network()))
}

/// As it is printed, without zeros at the end of a network.
fn abbreviated(network: &Inet) -> Result<String, Plain> {
    if network.v6 {
        return Err(unsupported("abbrev of a network of version 6"));
    }
    let octets = network.address().get(..usize::from(network.bits.div_ceil(8)).max(1)).unwrap_or_default();
    Ok(format!("{}/{}", octets.iter().map(u8::to_string).collect::<Vec<_>>().join("."), network.bits))
}

fn out_of_six() -> Plain {
    let message = "macaddr8 data out of range to convert to macaddr";
    let hint = "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.";
    Plain::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message).hint(hint)
}

/// A hardware address whose maker alone is told.
fn of_maker<const N: usize>(mut address: [u8; N]) -> [u8; N] {
    address.iter_mut().skip(3).for_each(|byte| *byte = 0);
    address
}

/// All of them.
pub(super) fn functions() -> Vec<Named> {
    let mut all: Vec<Named> = vec![
        ("text", f1::<Inet, _>(|_, address| Ok(address.text(true)))),
        ("host", f1::<Inet, _>(|_, address| Ok(address.host_text()))),
        ("abbrev", f1::<Inet, _>(|_, address| Ok(address.text(false)))),
        ("abbrev", f1::<Cidr, _>(|_, network| abbreviated(&network.0))),
        ("family", f1::<Inet, _>(|_, address| Ok(if address.v6 { 6 } else { 4 }))),
        ("masklen", f1::<Inet, _>(|_, address| Ok(i32::from(address.bits)))),
        ("network", f1::<Inet, _>(|_, address| Ok(Cidr(address.network())))),
        ("cidr", f1::<Inet, _>(|_, address| Ok(Cidr(address.network())))),
        ("broadcast", f1::<Inet, _>(|_, address| Ok(address.with_number(address.number() | address.host_mask())))),
        (
            "netmask",
            f1::<Inet, _>(|_, address| Ok(Inet { bits: address.width(), ..address.with_number(address.mask()) })),
        ),
        (
            "hostmask",
            f1::<Inet, _>(|_, address| Ok(Inet { bits: address.width(), ..address.with_number(address.host_mask()) })),
        ),
        ("set_masklen", f2::<Inet, i32, _>(|_, address, bits| with_bits(&address, bits))),
        ("set_masklen", f2::<Cidr, i32, _>(|_, network, bits| Ok(Cidr(with_bits(&network.0, bits)?.network())))),
        ("inet_same_family", f2::<Inet, Inet, _>(|_, left, right| Ok(left.v6 == right.v6))),
        ("inet_merge", f2::<Inet, Inet, _>(|_, left, right| merged(&left, &right))),
        ("~", f1::<Inet, _>(|_, address| Ok(address.with_number(!address.number())))),
        ("&", f2::<Inet, Inet, _>(|_, left, right| by_bits(&left, &right, "AND", |a, b| a & b))),
        ("|", f2::<Inet, Inet, _>(|_, left, right| by_bits(&left, &right, "OR", |a, b| a | b))),
        ("+", f2::<Inet, i64, _>(|_, address, number| plus(&address, number.into()))),
        ("+", f2::<i64, Inet, _>(|_, number, address| plus(&address, number.into()))),
        ("-", f2::<Inet, i64, _>(|_, address, number| plus(&address, -i128::from(number)))),
        ("-", f2::<Inet, Inet, _>(|_, left, right| minus(&left, &right))),
        ("trunc", f1::<Macaddr, _>(|_, address| Ok(Macaddr(of_maker(address.0))))),
        ("trunc", f1::<Macaddr8, _>(|_, address| Ok(Macaddr8(of_maker(address.0))))),
        (
            "macaddr8_set7bit",
            f1::<Macaddr8, _>(|_, mut address| {
                address.0.iter_mut().take(1).for_each(|byte| *byte |= 2);
                Ok(address)
            }),
        ),
        ("macaddr8", f1::<Macaddr, _>(|_, address| Ok(Macaddr8(widened(address.0))))),
        ("macaddr", f1::<Macaddr8, _>(|_, address| narrowed(address.0).map(Macaddr).ok_or_else(out_of_six))),
    ];
    let within = |outer: &Inet, inner: &Inet, equal: bool| match contains(outer, inner) {
        Some(longer) => equal || longer == Ordering::Greater,
        None => false,
    };
    all.push(("<<", f2::<Inet, Inet, _>(move |_, left, right| Ok(within(&right, &left, false)))));
    all.push(("<<=", f2::<Inet, Inet, _>(move |_, left, right| Ok(within(&right, &left, true)))));
    all.push((">>", f2::<Inet, Inet, _>(move |_, left, right| Ok(within(&left, &right, false)))));
    all.push((">>=", f2::<Inet, Inet, _>(move |_, left, right| Ok(within(&left, &right, true)))));
    let overlap = move |left: &Inet, right: &Inet| within(left, right, true) || within(right, left, true);
    all.push(("&&", f2::<Inet, Inet, _>(move |_, left, right| Ok(overlap(&left, &right)))));
    macro_rules! bitwise {
        ($($type:ident),+) => {$(
            all.push(("~", f1::<$type, _>(|_, $type(address)| Ok($type(address.map(|byte| !byte))))));
            all.push(("&", f2::<$type, $type, _>(|_, $type(mut left), $type(right)| {
                left.iter_mut().zip(right).for_each(|(to, from)| *to &= from);
                Ok($type(left))
            })));
            all.push(("|", f2::<$type, $type, _>(|_, $type(mut left), $type(right)| {
                left.iter_mut().zip(right).for_each(|(to, from)| *to |= from);
                Ok($type(left))
            })));
        )+};
    }
    bitwise!(Macaddr, Macaddr8);
    all
}
