//! Getting shards to other devices.
//!
//! Invariants:
//! - what arrives is what the manifest says: devices verify the root, and so is every shard that
//!   passes this process;
//! - a stripe number that was used for a new encoding is never used again, whatever became of it.
//!
//! *Retries:* none here: what was not carried is tried again with its whole stripe.
//! *Limits:* bytes count against the rate of relocation and that of repair; memory for a whole
//! stripe twice is reserved while shards pass this process.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use gateway_meta::{Op, Table, key, record::StripeRecord};
use node_proto::{
    CopyShardError, DeviceId, PutShardError, ShardIndex, ShardKey, ShardRoot, StripeSeq,
};
use node_stripe::{Codec, StripeChunk, StripeGeometry, StripeSpec, shard_root};
use tokio::sync::Mutex;

use super::plan::Step;
use crate::Fault;
use crate::data::Inner;
use crate::data::manifest::Stripe;
use crate::data::memory::{Buffer, Share};
use crate::data::rows::{corrupt, unchanged};
use crate::worker::restore::{Throttle, obtain};

/// Name of the counter that numbers of new encodings come from.
const SEQ_SOURCE: &str = "recoded-stripe";
/// First of these numbers. Chosen: an upload of the longest body does not get near it.
const SEQ_FIRST: u32 = 1 << 31;
/// Numbers taken at once. Chosen: a start wastes few, and a commit is shared by many.
const SEQ_LEASE: u32 = 1024;
/// Attempts to win the counter. Only another gateway can win against us.
const LEASE_ATTEMPTS_MAX: u32 = 16;

/// A shard and the device that has it.
pub(super) type Held = (DeviceId, ShardKey);

/// How shards were carried.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried<T> {
    /// All are durable.
    Stored(T),
    /// Some are not, for now.
    Not(String),
}

/// Numbers of new encodings: beyond all that uploads use, and unique in the cluster.
#[derive(Default)]
pub(super) struct Seqs {
    /// Next and end of what is leased.
    leased: Mutex<(u64, u64)>,
}

impl Seqs {
    async fn next(&self, data: &Inner) -> Result<StripeSeq, Fault> {
        let mut leased = self.leased.lock().await;
        if leased.0 == leased.1 {
            *leased = lease(data).await?;
        }
        let number = u32::try_from(leased.0).ok().and_then(|used| SEQ_FIRST.checked_add(used));
        let seq = StripeSeq(number.ok_or_else(|| corrupt("stripe numbers are used up"))?);
        leased.0 += 1;
        Ok(seq)
    }
}

async fn lease(data: &Inner) -> Result<(u64, u64), Fault> {
    let counter = key::id_source(SEQ_SOURCE);
    for _ in 0..LEASE_ATTEMPTS_MAX {
        let value = data.rows.get(Table::Ctr, &counter)?;
        let used = match value.as_deref() {
            None => 0,
            Some(value) => key::decode_counter(value)
                .and_then(|used| u64::try_from(used).ok())
                .ok_or_else(|| corrupt("the counter of stripe numbers is damaged"))?,
        };
        let guard = unchanged(Table::Ctr, counter.clone(), value);
        let delta = i128::from(SEQ_LEASE);
        let add = Op::Add { table: Table::Ctr, key: counter.clone(), delta };
        if data.rows.commit(vec![guard], vec![add]).await?.is_none() {
            return Ok((used, used + u64::from(SEQ_LEASE)));
        }
    }
    Err(Fault::Busy)
}

/// Copies shards of a stripe to where `steps` say.
pub(super) async fn carry(
    data: &Arc<Inner>,
    throttle: &Throttle,
    stripe: &Stripe,
    steps: &[Step],
) -> Result<Carried<()>, Fault> {
    let copies = join_all(steps.iter().map(|step| copy(data, throttle, stripe, *step))).await;
    let mut left = Vec::new();
    for (step, copied) in steps.iter().zip(copies) {
        match copied {
            Copied::Done => {}
            Copied::NotByItself => left.push(*step),
            Copied::Refused(why) => return Ok(Carried::Not(why)),
        }
    }
    if left.is_empty() {
        return Ok(Carried::Stored(()));
    }
    let wanted: Vec<ShardIndex> = left.iter().map(|step| index_of(step.position)).collect();
    let Some(obtained) = obtain(data, throttle, stripe, &wanted).await? else {
        return Ok(Carried::Not(unreadable(stripe)));
    };
    let puts = left.iter().map(|step| async {
        let index = index_of(step.position);
        let found = obtained.shards.iter().find(|(had, _)| *had == index);
        let bytes = found.map(|(_, bytes)| bytes.clone()).expect("what is wanted is obtained");
        let root = stripe.record().roots[step.position];
        let Some(slot) = data.devices.slot(step.to) else {
            return Some(format!("device {} left the layout", step.to.0));
        };
        // What an attempt before left there may have rotted since.
        slot.replace(stripe.shard_key(index), root, bytes)
            .await
            .err()
            .map(|error| error.to_string())
    });
    let refused = join_all(puts).await.into_iter().flatten().next();
    Ok(refused.map_or(Carried::Stored(()), Carried::Not))
}

fn index_of(position: usize) -> ShardIndex {
    ShardIndex(u8::try_from(position).expect("stripes are narrow"))
}

fn unreadable(stripe: &Stripe) -> String {
    format!("stripe {} of {} cannot be read for now", stripe.index, stripe.manifest.0)
}

enum Copied {
    Done,
    /// The shard must pass this process.
    NotByItself,
    Refused(String),
}

/// Lets the device fetch the shard itself.
async fn copy(data: &Inner, throttle: &Throttle, stripe: &Stripe, step: Step) -> Copied {
    let source = data.devices.slot(step.from).filter(|slot| slot.is_up());
    let (Some(_), Some(slot)) = (source, data.devices.slot(step.to)) else {
        return Copied::NotByItself;
    };
    let len_bytes = stripe.geometry.shard_len_bytes() as u64;
    let key = stripe.shard_key(index_of(step.position));
    let root = stripe.record().roots[step.position];
    let copying = slot.service.copy_from(step.from, key, root, len_bytes);
    match tokio::time::timeout(data.config.put_timeout, copying).await {
        Ok(Ok(())) => {
            throttle.wait_for(len_bytes).await;
            Copied::Done
        }
        Ok(Err(CopyShardError::Unsupported { .. } | CopyShardError::Source { .. })) => {
            Copied::NotByItself
        }
        Ok(Err(CopyShardError::Put(error))) => match error {
            PutShardError::Conflict { .. } | PutShardError::RootMismatch { .. } => {
                Copied::NotByItself
            }
            PutShardError::Full { .. }
            | PutShardError::Busy { .. }
            | PutShardError::Offline { .. } => Copied::Refused(error.to_string()),
        },
        Err(_elapsed) => Copied::Refused(format!("device {} copies too slowly", step.to.0)),
    }
}

/// A stripe in its new encoding.
pub(super) struct Recoded {
    pub(super) record: StripeRecord,
    pub(super) stored: Vec<Held>,
    pub(super) shard_len_bytes: u64,
}

/// Encodes a stripe with at most `k` data shards and stores it under a new number. What was stored
/// of it is noted in `uncommitted` first.
pub(super) async fn recode(
    data: &Arc<Inner>,
    throttle: &Throttle,
    seqs: &Seqs,
    stripe: &Stripe,
    k: u8,
    uncommitted: &mut Vec<Held>,
) -> Result<Carried<Recoded>, Fault> {
    let old = stripe.geometry;
    let geometry = with_data_shards(&old, k, data.config.profile.codec)?;
    let width = geometry.shard_count();
    let group = match data.placement.choose(width, width).await {
        Ok(group) => group,
        Err(fault @ (Fault::TooFewDevices { .. } | Fault::StorageFull)) => {
            return Ok(Carried::Not(fault.to_string()));
        }
        Err(fault) => return Err(fault),
    };
    let wanted: Vec<ShardIndex> = (0..old.k()).map(ShardIndex).collect();
    let Some(obtained) = obtain(data, throttle, stripe, &wanted).await? else {
        return Ok(Carried::Not(unreadable(stripe)));
    };
    let len = geometry.data_len_bytes() + geometry.parity_len_bytes();
    let wait_max = data.config.memory_wait_under_way_max;
    let reservation = data.memory.reserve(len, Share::General, wait_max).await?;
    throttle.wait_for(len as u64).await;
    let buffer = data.buffers.take(len, Some(reservation));
    let (shards, roots) = data
        .cpu
        .run(move || {
            // Sealed chunks are the same in any geometry; only where they lie differs.
            let copy = |chunk: StripeChunk, out: &mut [u8]| {
                let place = old.locate(chunk).expect("both geometries have the same chunks");
                let (_, shard) = &obtained.shards[usize::from(place.shard.0)];
                out.copy_from_slice(&shard[place.range()]);
            };
            encode(&geometry, buffer, copy)
        })
        .await??;
    let seq = seqs.next(data).await?;
    let key = |index| ShardKey { manifest: stripe.manifest, stripe: seq, index };
    let places = group.devices.iter().copied().zip((0..width).map(ShardIndex));
    let stored: Vec<Held> = places.map(|(device, index)| (device, key(index))).collect();
    uncommitted.extend_from_slice(&stored);
    if let Some(why) = put_all(data, &stored, shards, &roots).await {
        return Ok(Carried::Not(why));
    }
    let (k, m, codec) = (geometry.k(), geometry.m(), geometry.codec().id());
    let record = StripeRecord { seq, group: group.id, k, m, codec, roots };
    let shard_len_bytes = geometry.shard_len_bytes() as u64;
    Ok(Carried::Stored(Recoded { record, stored, shard_len_bytes }))
}

/// The geometry of a stripe with at most `k` data shards.
fn with_data_shards(old: &StripeGeometry, k: u8, codec: Codec) -> Result<StripeGeometry, Fault> {
    StripeGeometry::new(StripeSpec {
        k,
        m: old.m(),
        codec: if k == 1 { Codec::Replicate } else { codec },
        chunk_len_bytes: u32::try_from(old.chunk_len_bytes()).unwrap_or(u32::MAX),
        plaintext_len_bytes: old.plaintext_len_bytes() as u64,
    })
    .map_err(|error| corrupt(error.to_string()))
}

/// Stores all shards; why one was not, if so.
async fn put_all(
    data: &Inner,
    places: &[Held],
    shards: Vec<Bytes>,
    roots: &[ShardRoot],
) -> Option<String> {
    let puts = places.iter().zip(shards.into_iter().zip(roots)).map(|((device, key), shard)| {
        let (slot, (bytes, root)) = (data.devices.slot(*device), shard);
        async move {
            let Some(slot) = slot else { return Some(format!("device {} is gone", device.0)) };
            slot.put(*key, *root, bytes).await.err().map(|error| error.to_string())
        }
    });
    join_all(puts).await.into_iter().flatten().next()
}

type Encoded = (Vec<Bytes>, Vec<ShardRoot>);

/// Fills the data shards chunk by chunk, makes the parity and hashes every shard.
fn encode(
    geometry: &StripeGeometry,
    mut buffer: Buffer,
    fill: impl Fn(StripeChunk, &mut [u8]),
) -> Result<Encoded, Fault> {
    let shard_len = geometry.shard_len_bytes();
    let (data, parity) = buffer.as_mut().split_at_mut(geometry.data_len_bytes());
    for chunk in geometry.chunks() {
        fill(chunk, &mut data[geometry.data_range(chunk).expect("a chunk of this geometry")]);
    }
    geometry.zero_padding(data);
    let copies = geometry.codec() == Codec::Replicate;
    if !copies {
        node_stripe::encode(geometry, data, parity).map_err(|error| corrupt(error.to_string()))?;
    }
    let whole = buffer.freeze();
    let shard = |index: u8| {
        let start = if copies { 0 } else { usize::from(index) * shard_len };
        whole.slice(start..start + shard_len)
    };
    let shards: Vec<Bytes> = (0..geometry.shard_count()).map(shard).collect();
    let roots = shards.iter().map(|shard| shard_root(shard)).collect();
    Ok((shards, roots))
}
