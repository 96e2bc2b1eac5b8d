//! Chunked bodies that are not signed, against a reference that sees the whole body at once.

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use gateway_object::BodyError;

use crate::body::chunked::Decoded;

/// Longest head line of a chunk that is accepted.
const HEAD_LEN_BYTES_MAX: usize = 1024;
/// Longest trailer section that is accepted.
const TRAILERS_LEN_BYTES_MAX: usize = 16 << 10;

type Trailers = Vec<(String, String)>;

/// How a body ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Whole(Trailers),
    Truncated,
    Rejected,
}

/// A body, and where it is cut into what the network delivers: a count, that many lengths, and the
/// body.
///
/// Data, trailers and the way it ends are those of the reference, wherever the body is cut.
pub fn chunked(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else {
        return;
    };
    let (cuts, body) = rest.split_at(usize::from(count & 15).min(rest.len()));
    let expected = reference(body);
    assert_eq!(decoded(body, cuts), expected);
    assert_eq!(decoded(body, &[]), expected);
}

fn decoded(body: &[u8], cuts: &[u8]) -> (Vec<u8>, End) {
    let mut rest = Bytes::copy_from_slice(body);
    let mut delivered = Vec::new();
    for cut in cuts {
        delivered.push(Ok(rest.split_to(usize::from(*cut).min(rest.len()))));
    }
    delivered.push(Ok(rest));
    let (mut stream, trailers) = Decoded::new(futures::stream::iter(delivered));
    let mut data = Vec::new();
    loop {
        let next = stream.next().now_or_never().expect("everything was delivered");
        match next {
            Some(Ok(bytes)) => data.extend_from_slice(&bytes),
            Some(Err(BodyError::Truncated)) => return (data, End::Truncated),
            Some(Err(_)) => return (data, End::Rejected),
            None => break,
        }
    }
    let trailers = trailers.lock().take().expect("the stream has ended");
    (data, End::Whole(trailers))
}

fn reference(body: &[u8]) -> (Vec<u8>, End) {
    let mut data = Vec::new();
    let mut rest = body;
    loop {
        let line = line_of(rest);
        if line.len() > HEAD_LEN_BYTES_MAX {
            return (data, End::Rejected);
        }
        if line.last() != Some(&b'\n') {
            return (data, End::Truncated);
        }
        rest = &rest[line.len()..];
        let Some(len) = chunk_len(line) else {
            return (data, End::Rejected);
        };
        if len == 0 {
            return (data, trailers(rest));
        }
        let taken = rest.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        data.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
        let end: &[u8] = &rest[..rest.len().min(2)];
        match end {
            b"\r\n" => rest = &rest[2..],
            _ if b"\r\n".starts_with(end) => return (data, End::Truncated),
            _ => return (data, End::Rejected),
        }
    }
}

/// Up to and including the line feed, or everything.
fn line_of(bytes: &[u8]) -> &[u8] {
    bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default()
}

fn chunk_len(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r\n")?).ok()?;
    let digits = line.split(';').next()?;
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

fn trailers(section: &[u8]) -> End {
    let mut len = 0;
    loop {
        let line = line_of(&section[len..]);
        len += line.len();
        if len > TRAILERS_LEN_BYTES_MAX {
            return End::Rejected;
        }
        if line.is_empty() || line == b"\r\n" || line == b"\n" {
            break;
        }
    }
    // Nothing may follow the empty line.
    if len < section.len() {
        return End::Rejected;
    }
    let Ok(section) = std::str::from_utf8(section) else {
        return End::Rejected;
    };
    let pairs = section.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    });
    pairs.collect::<Option<Trailers>>().map_or(End::Rejected, End::Whole)
}
