//! Stages that only compute: hashes, checksums, the cipher, the erasure code.

use std::hint::black_box;

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use crc_fast::CrcAlgorithm;
use gateway_md5::{Kernel, Md5, Update, update_together};
use gateway_seal::{BodyContext, ChunkIndex, ChunkPosition, ChunkSealer, DataKey, TAG_LEN_BYTES};
use node_proto::ShardIndex;
use node_stripe::{Codec, Profile, Restorer, StripeGeometry, StripeSpec, encode, shard_root};

use super::{Budget, Wanted, row_if};
use crate::row::Row;

/// Unit of all rows.
const UNIT: &str = "GB/s";

/// Measures everything that is asked for.
pub(crate) fn measure(budget: &Budget, is_wanted: &Wanted<'_>) -> Result<Vec<Row>> {
    let profile = Profile::default();
    let stripe_len = profile.stripe_len_bytes as usize;
    let bytes: Vec<u8> = (0..stripe_len).map(|index| (index * 167 + index / 251) as u8).collect();
    let mut rows = hashes(budget, is_wanted, &bytes);
    rows.extend(seal(budget, is_wanted, &profile, &bytes));
    rows.extend(code(budget, is_wanted, &profile, &bytes)?);
    Ok(rows)
}

fn hashes(budget: &Budget, is_wanted: &Wanted<'_>, bytes: &[u8]) -> Vec<Row> {
    let len = bytes.len();
    let row = |name: &str, work: &dyn Fn()| {
        row_if(is_wanted, name, UNIT, || budget.rate(work).gigabytes_per_second(len))
    };
    let crc = |algorithm| {
        move || {
            black_box(crc_fast::checksum(algorithm, black_box(bytes)));
        }
    };
    let rows = [
        row("MD5", &|| {
            black_box(Md5::digest(black_box(bytes)));
        }),
        row("MD5, 2 streams together", &|| md5_together(2, bytes)),
        row("MD5, 8 streams together", &|| md5_together(8, bytes)),
        row("MD5, 16 streams together", &|| md5_together(16, bytes)),
        row("SHA-256", &|| {
            black_box(digest(&SHA256, black_box(bytes)));
        }),
        row("CRC32C", &crc(CrcAlgorithm::Crc32Iscsi)),
        row("CRC64NVME", &crc(CrcAlgorithm::Crc64Nvme)),
        row("BLAKE3", &|| {
            black_box(shard_root(black_box(bytes)));
        }),
    ];
    rows.into_iter().flatten().collect()
}

/// Hashes `bytes`, an equal share in each of `streams`.
fn md5_together(streams: usize, bytes: &[u8]) {
    let mut md5s = vec![Md5::new(); streams];
    let shares = black_box(bytes).chunks(bytes.len().div_ceil(streams));
    let mut updates: Vec<Update<'_>> =
        md5s.iter_mut().zip(shares).map(|(md5, bytes)| Update { md5, bytes }).collect();
    update_together(Kernel::best(), &mut updates);
    black_box(md5s);
}

fn seal(budget: &Budget, is_wanted: &Wanted<'_>, profile: &Profile, bytes: &[u8]) -> Option<Row> {
    let key = DataKey::generate(&mut |out: &mut [u8]| out.fill(7));
    let chunk_len_bytes = profile.chunk_len_bytes;
    let body = BodyContext { bucket_id: 1, manifest_id: 1, chunk_len_bytes };
    let sealer = ChunkSealer::new(&key, body);
    let chunk_len = chunk_len_bytes as usize;
    let mut sealed = vec![0; chunk_len + TAG_LEN_BYTES];
    row_if(is_wanted, "AES-256-GCM seal, 64 KiB chunks", UNIT, || {
        let rate = budget.rate(|| {
            for (index, chunk) in bytes.chunks_exact(chunk_len).enumerate() {
                let position = ChunkPosition { index: ChunkIndex(index as u64), is_last: false };
                sealer.seal_into(position, chunk, &mut sealed).expect("the chunks are full");
                black_box(&sealed);
            }
        });
        rate.gigabytes_per_second(bytes.len())
    })
}

fn code(
    budget: &Budget,
    is_wanted: &Wanted<'_>,
    profile: &Profile,
    bytes: &[u8],
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (codec, name) in [(Codec::CauchyGf8, "Cauchy"), (Codec::LeopardGf16, "Leopard")] {
        let geometry = StripeGeometry::new(StripeSpec {
            k: profile.k,
            m: profile.m,
            codec,
            chunk_len_bytes: profile.chunk_len_bytes,
            plaintext_len_bytes: profile.stripe_len_bytes.into(),
        })?;
        let (k, m) = (geometry.k(), geometry.m());
        let name = format!("Reed-Solomon {k}+{m} {name}");
        rows.extend(code_of(budget, is_wanted, &geometry, &name, bytes)?);
    }
    Ok(rows)
}

fn code_of(
    budget: &Budget,
    is_wanted: &Wanted<'_>,
    geometry: &StripeGeometry,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<Row>> {
    let mut data: Vec<u8> = bytes.iter().copied().cycle().take(geometry.data_len_bytes()).collect();
    geometry.zero_padding(&mut data);
    let mut parity = vec![0; geometry.parity_len_bytes()];
    encode(geometry, &data, &mut parity)?;
    let (k, m) = (geometry.k(), geometry.m());
    let mut rows = Vec::new();
    rows.extend(row_if(is_wanted, &format!("{name} encode"), UNIT, || {
        let rate = budget.rate(|| {
            encode(geometry, black_box(&data), &mut parity).expect("the buffers fit");
            black_box(&parity);
        });
        rate.gigabytes_per_second(geometry.plaintext_len_bytes())
    }));
    // The worst loss that can be read: as many data shards as there is parity.
    let present: Vec<ShardIndex> = (m..k + m).map(ShardIndex).collect();
    let missing: Vec<ShardIndex> = (0..m).map(ShardIndex).collect();
    let shard_len = geometry.shard_len_bytes();
    let shards: Vec<&[u8]> = data.chunks(shard_len).chain(parity.chunks(shard_len)).collect();
    let sources = &shards[usize::from(m)..];
    let mut restored = vec![0; usize::from(m) * shard_len];
    let mut restored: Vec<&mut [u8]> = restored.chunks_mut(shard_len).collect();
    rows.extend(row_if(
        is_wanted,
        &format!("{name} decode, {m} data shards missing"),
        UNIT,
        || {
            let rate = budget.rate(|| {
                let restorer = Restorer::new(geometry, black_box(&present), &missing);
                let restored = restorer.and_then(|solved| solved.restore(sources, &mut restored));
                restored.expect("enough shards are present");
            });
            rate.gigabytes_per_second(geometry.plaintext_len_bytes())
        },
    ));
    Ok(rows)
}
