//! Putting the shards of one stripe on the devices of a group.
//!
//! Invariants:
//! - all shards are sent at once, each to a device in a domain of its own, spares included;
//! - a shard counts where it was durable first; the group that the stripe is recorded under names
//!   exactly those devices, and is persisted before it is named;
//! - whatever may have been stored is noted before it is sent: the loser of a hedge is garbage under
//!   the same key on another device;
//! - `Ok` with shards missing only where the bucket asks for it, and never fewer than `k + 1`.
//!
//! *Limits:* hedges are a share of stripes; what is still under way when a write is answered goes on
//! within the bounds of [`super::background`] and holds its memory until then.
//! *Cancellation:* dropping the future abandons the answers, not necessarily the effects.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use gateway_meta::record::Acknowledge;
use node_proto::{DeviceId, PutShardError, ShardIndex, ShardKey, StripeSeq};
use tokio::time::Instant;

use super::Inner;
use super::devices::Slot;
use super::lease::StoredStripe;
use super::memory::Reservation;
use super::placement::Group;
use super::rows::corrupt;
use super::stripe_read::ShardSet;
use super::stripe_write::{Encoded, UploadContext};
use crate::Fault;

/// An answer to one put.
struct Put {
    index: usize,
    device: DeviceId,
    result: Result<(), PutShardError>,
}

type Puts = FuturesUnordered<BoxFuture<'static, Put>>;

/// How one shard stands.
struct Place {
    /// Where the group has it.
    home: DeviceId,
    /// Where it is put as well.
    spare: Option<DeviceId>,
    /// Where it was durable first.
    durable: Option<DeviceId>,
    /// Puts that were not answered.
    under_way: u8,
    /// A spare was looked for.
    was_hedged: bool,
}

/// One attempt to put a stripe.
pub(crate) struct PutStripe<'a> {
    upload: &'a UploadContext,
    encoded: &'a Encoded,
    group: Arc<Group>,
    seq: StripeSeq,
    places: Vec<Place>,
    puts: Puts,
    started: Instant,
    failure: Option<Fault>,
}

/// Where a stripe is.
pub(crate) struct Placed {
    pub(crate) group: Arc<Group>,
    /// Shards that are not known to be durable.
    pub(crate) missing: ShardSet,
    /// Puts that were not waited for.
    pub(crate) stragglers: Option<Stragglers>,
}

/// Puts that nobody waits for.
pub(crate) struct Stragglers(Puts);

impl Stragglers {
    /// Lets them go on, with the memory that they hold, as far as there is room for it. What does
    /// not get there is repaired.
    pub(crate) fn go_on(self, data: &Inner, reservation: Reservation) {
        data.background.try_spawn(async move {
            self.0.for_each(|_| std::future::ready(())).await;
            drop(reservation);
        });
    }
}

impl<'a> PutStripe<'a> {
    pub(crate) fn new(
        upload: &'a UploadContext,
        encoded: &'a Encoded,
        group: Arc<Group>,
        seq: StripeSeq,
    ) -> Self {
        let place = |home: &DeviceId| Place {
            home: *home,
            spare: None,
            durable: None,
            under_way: 0,
            was_hedged: false,
        };
        let places = group.devices.iter().take(encoded.shards.len()).map(place).collect();
        let (puts, started) = (Puts::new(), Instant::now());
        Self { upload, encoded, group, seq, places, puts, started, failure: None }
    }

    /// Puts all shards, and waits until enough of them are durable or every answer is there, so that
    /// what failed can be deleted.
    ///
    /// # Errors
    /// [`Fault`] of a device that refused, when too few are durable.
    pub(crate) async fn run(mut self) -> Result<Placed, Fault> {
        let devices = &self.upload.data.devices;
        let late_at = self.started + devices.straggler_delay();
        let enough_at = self.started + self.upload.data.config.acknowledge_delay;
        let may_do_with_less = self.upload.acknowledge == Acknowledge::DataPlusOne;
        devices.write_hedges.earn();
        for index in 0..self.places.len() {
            let home = self.places[index].home;
            let slot = devices
                .slot(home)
                .ok_or_else(|| corrupt(format!("{home:?} is not in the layout")))?;
            self.put(index, slot);
        }
        loop {
            let now = Instant::now();
            if self.missing().is_empty() {
                return self.placed().await;
            }
            let is_all_answered = self.puts.is_empty();
            if may_do_with_less && self.has_enough() && (is_all_answered || now >= enough_at) {
                return self.placed().await;
            }
            if !may_do_with_less {
                self.hedge(now >= late_at).await?;
            }
            if self.puts.is_empty() {
                return Err(self.failure.take().unwrap_or(Fault::Busy));
            }
            let timer = if may_do_with_less { enough_at } else { late_at };
            tokio::select! {
                biased;
                Some(put) = self.puts.next() => self.take(put),
                () = tokio::time::sleep_until(timer), if now < timer => {}
            }
        }
    }

    fn put(&mut self, index: usize, slot: Arc<Slot>) {
        let shard_index = ShardIndex(u8::try_from(index).expect("stripes have at most 48 shards"));
        let key = ShardKey { manifest: self.upload.manifest, stripe: self.seq, index: shard_index };
        let (root, shard) = (self.encoded.roots[index], self.encoded.shards[index].clone());
        self.places[index].under_way += 1;
        let put = async move {
            let result = slot.put(key, root, shard).await;
            Put { index, device: slot.id(), result }
        };
        self.puts.push(put.boxed());
    }

    fn take(&mut self, Put { index, device, result }: Put) {
        let place = &mut self.places[index];
        place.under_way -= 1;
        match result {
            Ok(()) => {
                fail::fail_point!("after-first-shard");
                if place.durable.is_none() && place.spare == Some(device) {
                    metrics::counter!("datamesh_stripe_write_hedges_won_total").increment(1);
                    if place.under_way > 0
                        && let Some(home) = self.upload.data.devices.slot(place.home)
                    {
                        home.was_outpaced(self.started.elapsed());
                    }
                }
                place.durable.get_or_insert(device);
            }
            Err(error) => {
                tracing::warn!(device = device.0, %error, "shard was not stored");
                self.failure = Some(put_fault(&error));
            }
        }
    }

    fn missing(&self) -> ShardSet {
        let mut missing = ShardSet::default();
        for (index, place) in (0..).zip(&self.places) {
            if place.durable.is_none() {
                missing.insert(ShardIndex(index));
            }
        }
        missing
    }

    /// Whether one shard more than it takes to read the stripe is durable.
    fn has_enough(&self) -> bool {
        let durable = self.places.len() - self.missing().len();
        durable > usize::from(self.encoded.geometry.k())
    }

    /// Puts the last shards on spare devices as well: those that failed, and those that are late.
    async fn hedge(&mut self, are_late: bool) -> Result<(), Fault> {
        if self.missing().len() > usize::from(self.encoded.geometry.m()) {
            return Ok(());
        }
        for index in 0..self.places.len() {
            let place = &self.places[index];
            let is_wanted = place.durable.is_none() && (are_late || place.under_way == 0);
            if !is_wanted || place.was_hedged {
                continue;
            }
            self.places[index].was_hedged = true;
            let members: Vec<DeviceId> = self.places.iter().map(|place| place.home).collect();
            let spares: Vec<DeviceId> =
                self.places.iter().filter_map(|place| place.spare).collect();
            let data = Arc::clone(&self.upload.data);
            let Some(spare) = data.placement.spare(&members, index, &spares) else { continue };
            if !data.devices.write_hedges.spend() {
                metrics::counter!("datamesh_stripe_write_hedges_refused_total").increment(1);
                continue;
            }
            let mut devices = members;
            devices[index] = spare.id();
            let group = data.placement.group_of(devices).await?;
            self.note(&group);
            metrics::counter!("datamesh_stripe_write_hedges_total").increment(1);
            self.places[index].spare = Some(spare.id());
            self.put(index, spare);
        }
        Ok(())
    }

    /// Notes what may be stored from now on.
    fn note(&self, group: &Group) {
        let shard_count = self.encoded.geometry.shard_count();
        let stored = StoredStripe { seq: self.seq, group: group.id, shard_count };
        self.upload.stored.lock().push(stored);
    }

    /// The stripe is where its shards were durable first.
    async fn placed(self) -> Result<Placed, Fault> {
        let missing = self.missing();
        let at = |place: &Place| place.durable.unwrap_or(place.home);
        let devices: Vec<DeviceId> = self.places.iter().map(at).collect();
        let group = if self.group.devices.starts_with(&devices) {
            self.group
        } else {
            self.upload.data.placement.group_of(devices).await?
        };
        let stragglers = (!missing.is_empty()).then_some(Stragglers(self.puts));
        if !missing.is_empty() {
            metrics::counter!("datamesh_stripe_written_short_total").increment(1);
        }
        Ok(Placed { group, missing, stragglers })
    }
}

fn put_fault(error: &PutShardError) -> Fault {
    match error {
        PutShardError::Full { .. } => Fault::StorageFull,
        PutShardError::Conflict { .. }
        | PutShardError::RootMismatch { .. }
        | PutShardError::Busy { .. }
        | PutShardError::Offline { .. } => Fault::Busy,
    }
}
