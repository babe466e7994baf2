//! Network addresses: `inet`, `cidr`, `macaddr`, `macaddr8`. Values are bytes in PostgreSQL's order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BufMut;

/// `inet` or `cidr`: an address, and how many of its bits are the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inet {
    /// Whether it is of version 6.
    pub(crate) v6: bool,
    /// At most [`Inet::width`].
    pub(crate) bits: u8,
    /// Of version 4: the first four.
    pub(crate) octets: [u8; 16],
}

/// Why a text or bytes are no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has not the form of one.
    Syntax,
    /// It is a network with bits of a host.
    HostBits,
}

/// PostgreSQL's numbers of the versions, in binary form.
const FAMILIES: [u8; 2] = [2, 3];

impl Inet {
    /// The length of a value.
    pub(crate) const BYTES: usize = 34;

    /// With all bits for the network.
    fn host(address: IpAddr) -> Self {
        let mut octets = [0; 16];
        let v6 = match address {
            IpAddr::V4(four) => {
                octets.iter_mut().zip(four.octets()).for_each(|(to, from)| *to = from);
                false
            }
            IpAddr::V6(six) => {
                octets = six.octets();
                true
            }
        };
        Self { v6, bits: if v6 { 128 } else { 32 }, octets }
    }

    /// Bits of an address.
    pub(crate) fn width(&self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    /// The bytes of the address.
    pub(crate) fn address(&self) -> &[u8] {
        self.octets.get(..usize::from(self.width() / 8)).unwrap_or_default()
    }

    /// As a number.
    pub(crate) fn number(&self) -> u128 {
        u128::from_be_bytes(self.octets) >> (128 - u32::from(self.width()))
    }

    /// With another address of the same version; only its lowest bits count.
    #[must_use]
    pub(crate) fn with_number(&self, number: u128) -> Self {
        Self { octets: (number << (128 - u32::from(self.width()))).to_be_bytes(), ..*self }
    }

    /// The ones of the network's bits, as a number.
    pub(crate) fn mask(&self) -> u128 {
        self.all() & !self.host_mask()
    }

    /// The ones of the host's bits, as a number.
    pub(crate) fn host_mask(&self) -> u128 {
        self.all().checked_shr(u32::from(self.bits)).unwrap_or(0)
    }

    fn all(&self) -> u128 {
        u128::MAX >> (128 - u32::from(self.width()))
    }

    /// The network alone: without bits of the host.
    #[must_use]
    pub(crate) fn network(&self) -> Self {
        self.with_number(self.number() & self.mask())
    }

    /// Version, network, bits, address: each in the order of its values.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = [u8::from(self.v6)].into_iter().chain(self.network().octets).chain([self.bits]).chain(self.octets);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// From what [`Inet::to_bytes`] gives.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (rest, octets) = bytes.split_last_chunk::<16>().map_or((bytes, [0; 16]), |(rest, octets)| (rest, *octets));
        Self { v6: rest.first() == Some(&1), bits: rest.last().copied().unwrap_or(0), octets }
    }

    /// `address[/bits]`; a network may lack its last numbers.
    pub(super) fn parse(text: &str, network: bool) -> Result<Self, Fault> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let mut found = match address.parse::<IpAddr>() {
            Ok(address) => Self::host(address),
            Err(_) => Self::abbreviated(address).filter(|_| network || bits.is_some()).ok_or(Fault::Syntax)?,
        };
        if let Some(bits) = bits {
            let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
            let bits = bits.parse::<u8>().ok().filter(|bits| is_number && *bits <= found.width());
            found.bits = bits.ok_or(Fault::Syntax)?;
        }
        if network && found.network() != found { Err(Fault::HostBits) } else { Ok(found) }
    }

    /// The first numbers of an address of version 4, with the bits of its class, or those that are there.
    fn abbreviated(text: &str) -> Option<Self> {
        let numbers = text.split('.').map(|part| part.parse::<u8>().ok().filter(|_| !part.starts_with('+')));
        let numbers = numbers.collect::<Option<Vec<u8>>>().filter(|numbers| numbers.len() < 4)?;
        let mut octets = [0; 4];
        octets.iter_mut().zip(&numbers).for_each(|(to, from)| *to = *from);
        let of_class = match numbers.first()? {
            240.. => 32,
            224.. => 8,
            192.. => 24,
            128.. => 16,
            _ => 8,
        };
        let given = u8::try_from(numbers.len() * 8).ok()?;
        // All of the class of groups.
        let bits = if numbers == [224] { 4 } else { given.max(of_class) };
        Some(Self { bits, ..Self::host(Ipv4Addr::from(octets).into()) })
    }

    /// From what PostgreSQL sends: version, bits, whether it is a network, length, address.
    pub(super) fn from_wire(bytes: &[u8], network: bool) -> Option<Self> {
        let [family, bits, _, length, address @ ..] = bytes else { return None };
        let v6 = *FAMILIES.iter().find(|known| *known == family)? == 3;
        let address = if v6 {
            IpAddr::from(<[u8; 16]>::try_from(address).ok()?)
        } else {
            IpAddr::from(<[u8; 4]>::try_from(address).ok()?)
        };
        let found = Self { bits: *bits, ..Self::host(address) };
        let valid = *bits <= found.width() && usize::from(*length) == found.address().len();
        Some(found).filter(|found| valid && (!network || found.network() == *found))
    }

    pub(super) fn write_wire(&self, out: &mut Vec<u8>, network: bool) {
        let length = self.width() / 8;
        out.extend([if self.v6 { 3 } else { 2 }, self.bits, u8::from(network), length]);
        out.put_slice(self.address());
    }

    /// The address alone.
    pub(crate) fn host_text(&self) -> String {
        let Some(four) = self.octets.first_chunk::<4>().filter(|_| !self.v6) else {
            let six = Ipv6Addr::from(self.octets);
            // Those of version 4 in it are written as such.
            return match self.octets {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] if a != 0 || b != 0 => format!("::{a}.{b}.{c}.{d}"),
                _ => six.to_string(),
            };
        };
        Ipv4Addr::from(*four).to_string()
    }

    /// As it is printed: a network always with its bits, an address with those that are not all.
    pub(crate) fn text(&self, network: bool) -> String {
        let address = self.host_text();
        if network || self.bits < self.width() { format!("{address}/{}", self.bits) } else { address }
    }
}

/// A hardware address of six bytes, or of eight (which may be written as six).
pub(super) fn hardware<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.trim();
    let mut separators = text.bytes().filter(|byte| !byte.is_ascii_hexdigit());
    let separator = separators.next();
    if !separators.all(|other| Some(other) == separator) || !matches!(separator, None | Some(b':' | b'-' | b'.')) {
        return None;
    }
    let groups: Vec<&str> = match separator {
        Some(separator) => text.split(char::from(separator)).collect(),
        None => vec![text],
    };
    let width = groups.first()?.len();
    // One byte in each group, where a zero in front may be missing; or several, all of them in full.
    let digits: String = if groups.len() >= 6 {
        let full = groups.iter().map(|group| (1..=2).contains(&group.len()).then(|| format!("{group:0>2}")));
        full.collect::<Option<String>>()?
    } else {
        // Eight bytes may be separated anywhere.
        let even = groups.iter().all(|group| group.len() % 2 == 0 && (N == 8 || group.len() == width));
        even.then(|| groups.concat())?
    };
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    match (bytes.as_slice(), N) {
        (bytes, 8) if bytes.len() == 6 => widened(bytes.try_into().ok()?).as_slice().try_into().ok(),
        (bytes, _) => bytes.try_into().ok(),
    }
}

/// What stands between the halves of a hardware address of six bytes that is written in eight.
const FILLING: [u8; 2] = [0xff, 0xfe];

/// A hardware address of six bytes in eight.
pub(crate) fn widened(address: [u8; 6]) -> [u8; 8] {
    let (maker, device) = address.split_at(3);
    let mut wide = [0; 8];
    wide.iter_mut().zip(maker.iter().chain(&FILLING).chain(device)).for_each(|(to, from)| *to = *from);
    wide
}

/// One of eight bytes in six, if it is one.
pub(crate) fn narrowed(address: [u8; 8]) -> Option<[u8; 6]> {
    let (maker, rest) = address.split_at(3);
    let device = rest.strip_prefix(&FILLING)?;
    [maker, device].concat().try_into().ok()
}

pub(super) fn write_hardware(out: &mut Vec<u8>, bytes: &[u8]) {
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    out.extend_from_slice(text.as_bytes());
}
