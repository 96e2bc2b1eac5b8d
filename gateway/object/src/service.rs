//! The service: what edges call.

use std::sync::Arc;

use futures::StreamExt;
use gateway_kms::KeyService;
use gateway_meta::{
    MetaStore, TxIds, UploadId, VersionId,
    record::{Acknowledge, BucketRecord, ObjectLock, Versioning},
};
use gateway_seal::RootKey;
use node_proto::{Clock, Layout, NodeId, ShardService, UnixMillis};

use crate::{
    Bucket, BucketConfig, ByteStream, LifecycleDue, ListedConfig, ListedConfigPage, UsageDrift,
    accounting::audit,
    api::*,
    config::ObjectConfig,
    data::{DataPath, config::Random},
    engine::Engine,
    gate::Pass,
    lifecycle::Subject,
    worker::Supervisor,
};

/// What the service is built from.
pub struct ObjectDeps {
    /// The metadata store.
    pub meta: Arc<dyn MetaStore>,
    /// Transaction ids of this process.
    pub txids: Arc<TxIds>,
    /// The layout; `devices[i]` serves `layout.devices[i]`.
    pub layout: Layout,
    /// One service per layout device, in the layout's order. Offline ones included.
    pub devices: Vec<Arc<dyn ShardService>>,
    /// The root of the key hierarchy.
    pub root_key: Arc<RootKey>,
    /// Who keeps the keys of SSE-KMS; `None` refuses them.
    pub key_service: Option<Arc<dyn KeyService>>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

/// Object semantics over one metadata store and a set of devices. Cheap to clone.
///
/// *Consistency:* every answered write is seen by every later read. *Cancellation:* a dropped
/// request either happens whole or not at all. *Limits:* see [`ObjectConfig`]; beyond them requests
/// fail with [`Fault::Busy`]. After [`Self::shutdown`] every call fails with
/// [`Fault::ShuttingDown`].
#[derive(Clone)]
pub struct ObjectService {
    engine: Arc<Engine>,
    /// What works on metadata in the background; the data path has workers of its own.
    background: Arc<Supervisor>,
}

impl ObjectService {
    /// Opens the service and starts its background work.
    ///
    /// # Errors
    /// [`Fault`] when the configuration makes no sense or the metadata store cannot be used.
    pub async fn open(deps: ObjectDeps, config: ObjectConfig) -> Result<Self, Fault> {
        let data = DataPath::open(&deps, config.data()).await?;
        let background = Arc::new(Supervisor::new(Random::system()));
        let engine = Arc::new(Engine::new(deps, data, config));
        background.start_all(crate::engine::workers(&engine));
        Ok(Self { engine, background })
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn create_bucket(&self, request: CreateBucket) -> Result<BucketRecord, BucketError> {
        let _pass = self.enter()?;
        self.engine.create_bucket(request).await
    }

    /// Finds a bucket by name. Costs no read when it is known.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`] or a fault.
    pub async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, BucketError> {
        let _pass = self.enter()?;
        self.engine.bucket(name)
    }

    /// Sets one of a bucket's configurations, which replaces what was set before.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`] or a fault.
    pub async fn put_config<C: BucketConfig>(
        &self,
        bucket: &str,
        config: C,
    ) -> Result<(), BucketError> {
        let _pass = self.enter()?;
        self.engine.put_config(bucket, &config).await
    }

    /// Removes one of a bucket's configurations, which need not be there.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`] or a fault.
    pub async fn delete_config<C: BucketConfig>(&self, bucket: &str) -> Result<(), BucketError> {
        let _pass = self.enter()?;
        self.engine.delete_config::<C>(bucket).await
    }

    /// Sets one of the configurations that a bucket has several of, by `id`, which replaces what
    /// was set before.
    ///
    /// # Errors
    /// [`ListedConfigError`].
    pub async fn put_listed_config<C: ListedConfig>(
        &self,
        bucket: &str,
        id: &str,
        config: C,
    ) -> Result<(), ListedConfigError> {
        let _pass = self.enter()?;
        self.engine.put_listed_config(bucket, id, &config).await
    }

    /// One of the configurations that a bucket has several of.
    ///
    /// # Errors
    /// [`ListedConfigError`].
    pub async fn listed_config<C: ListedConfig>(
        &self,
        bucket: &str,
        id: &str,
    ) -> Result<C, ListedConfigError> {
        let _pass = self.enter()?;
        self.engine.listed_config(bucket, id)
    }

    /// Removes one of the configurations that a bucket has several of.
    ///
    /// # Errors
    /// [`ListedConfigError`].
    pub async fn delete_listed_config<C: ListedConfig>(
        &self,
        bucket: &str,
        id: &str,
    ) -> Result<(), ListedConfigError> {
        let _pass = self.enter()?;
        self.engine.delete_listed_config::<C>(bucket, id).await
    }

    /// Up to a hundred of the configurations that a bucket has several of, behind the id `after`.
    ///
    /// # Errors
    /// [`ListedConfigError`].
    pub async fn list_configs<C: ListedConfig>(
        &self,
        bucket: &str,
        after: Option<&str>,
    ) -> Result<ListedConfigPage<C>, ListedConfigError> {
        let _pass = self.enter()?;
        self.engine.list_configs(bucket, after).await
    }

    /// Takes a line of a bucket's access log, of a request that came at `at`, without its line feed,
    /// to be delivered where the bucket's configuration says. Never waits; a bucket that logs nothing takes nothing. Lines are
    /// durable after two seconds, and at once when the service is shut down.
    pub fn log_access(&self, bucket: &Bucket, at: UnixMillis, line: &str) {
        self.engine.log_access(bucket, at, line);
    }

    /// Says what becomes of replaced versions from now on.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`], [`BucketError::AlreadyVersioned`],
    /// [`BucketError::ObjectLockNeedsVersioning`] or a fault.
    pub async fn set_versioning(
        &self,
        bucket: &str,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        let _pass = self.enter()?;
        self.engine.set_versioning(bucket, versioning).await.map(drop)
    }

    /// Lets a bucket's versions be locked from now on. Cannot be taken back.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`], [`BucketError::ObjectLockNeedsVersioning`] or a fault.
    pub async fn enable_object_lock(&self, bucket: &str) -> Result<(), BucketError> {
        let _pass = self.enter()?;
        self.engine.enable_object_lock(bucket).await.map(drop)
    }

    /// Says when writes to a bucket are answered from now on; those under way may do as before.
    ///
    /// # Errors
    /// [`BucketError::NoSuchBucket`] or a fault.
    pub async fn set_acknowledge(
        &self,
        bucket: &str,
        acknowledge: Acknowledge,
    ) -> Result<BucketRecord, BucketError> {
        let _pass = self.enter()?;
        self.engine.set_acknowledge(bucket, acknowledge).await
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn delete_bucket(&self, name: &str) -> Result<(), BucketError> {
        let _pass = self.enter()?;
        self.engine.delete_bucket(name).await
    }

    /// Lists an account's buckets.
    ///
    /// # Errors
    /// [`BucketError::Fault`].
    pub async fn list_buckets(&self, request: ListBuckets) -> Result<BucketPage, BucketError> {
        let _pass = self.enter()?;
        Ok(self.engine.list_buckets(request).await?)
    }

    /// Stores an object.
    ///
    /// # Errors
    /// [`ObjectWriteError`]. A write without conditions never fails because of another write.
    pub async fn put_object(&self, request: PutObject) -> Result<WriteReceipt, ObjectWriteError> {
        let _pass = self.enter()?;
        self.engine.put_object(request).await
    }

    /// Reads an object. The version found stays readable until its body stream is dropped, also
    /// when it is overwritten or deleted meanwhile.
    ///
    /// # Errors
    /// [`ObjectReadError`].
    pub async fn get_object(&self, request: GetObject) -> Result<ObjectRead, ObjectReadError> {
        let pass = self.enter()?;
        let read = self.engine.get_object(request).await?;
        Ok(ObjectRead { body: counted(read.body, pass), ..read })
    }

    /// Reads what is known of an object; `body` is empty.
    ///
    /// # Errors
    /// [`ObjectReadError`].
    pub async fn head_object(&self, request: GetObject) -> Result<ObjectRead, ObjectReadError> {
        let _pass = self.enter()?;
        self.engine.head_object(request).await
    }

    /// The parts of a completed multipart object with numbers greater than `after`; an empty page
    /// without a total for other objects.
    ///
    /// # Errors
    /// [`ObjectReadError`].
    pub async fn object_parts(
        &self,
        request: GetObject,
        after: u16,
        limit: usize,
    ) -> Result<(ObjectInfo, PartPage), ObjectReadError> {
        let _pass = self.enter()?;
        self.engine.object_parts(request, after, limit).await
    }

    /// Copies an object.
    ///
    /// # Errors
    /// [`ObjectWriteError`].
    pub async fn copy_object(&self, request: CopyObject) -> Result<CopyReceipt, ObjectWriteError> {
        let _pass = self.enter()?;
        self.engine.copy_object(request).await
    }

    /// Gives an object another key within its bucket, in one commit and without moving data.
    ///
    /// # Errors
    /// [`RenameError`].
    pub async fn rename_object(&self, request: RenameObject) -> Result<(), RenameError> {
        let _pass = self.enter()?;
        self.engine.rename_object(request).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// [`DeleteError`]; a missing key is none.
    pub async fn delete_object(&self, request: DeleteObject) -> Result<DeleteReceipt, DeleteError> {
        let _pass = self.enter()?;
        self.engine.delete_object(request).await
    }

    /// Deletes objects of one bucket, whatever bucket their targets name; answers in the order of
    /// `requests`.
    ///
    /// # Errors
    /// [`DeleteError`] when nothing could be tried.
    pub async fn delete_objects(
        &self,
        bucket: &str,
        requests: Vec<DeleteObject>,
    ) -> Result<Vec<Result<DeleteReceipt, DeleteError>>, DeleteError> {
        let _pass = self.enter()?;
        self.engine.delete_objects(bucket, requests).await
    }

    /// Lists objects.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn list_objects(&self, request: ListObjects) -> Result<ListPage, ListError> {
        let _pass = self.enter()?;
        self.engine.list_objects(request).await
    }

    /// Lists the versions of objects.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn list_versions(&self, request: ListVersions) -> Result<VersionPage, ListError> {
        let _pass = self.enter()?;
        self.engine.list_versions(request).await
    }

    /// Reads an object's tags.
    ///
    /// # Errors
    /// [`TaggingError::Object`].
    pub async fn object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
    ) -> Result<(VersionId, Vec<(String, String)>), TaggingError> {
        let _pass = self.enter()?;
        self.engine.object_tags(target, version)
    }

    /// Replaces an object's tags; an empty list removes them.
    ///
    /// # Errors
    /// [`TaggingError`].
    pub async fn put_object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        tags: Vec<(String, String)>,
    ) -> Result<VersionId, TaggingError> {
        let _pass = self.enter()?;
        self.engine.put_object_tags(target, version, tags).await
    }

    /// What keeps a version from being deleted.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn object_lock(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
    ) -> Result<(VersionId, ObjectLock), LockError> {
        let _pass = self.enter()?;
        self.engine.object_lock(target, version)
    }

    /// Gives a version another retention.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn put_retention(&self, request: PutRetention) -> Result<VersionId, LockError> {
        let _pass = self.enter()?;
        self.engine.put_retention(request).await
    }

    /// Puts a legal hold on a version or takes it off.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn put_legal_hold(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        held: bool,
    ) -> Result<VersionId, LockError> {
        let _pass = self.enter()?;
        self.engine.put_legal_hold(target, version, held).await
    }

    /// Starts a multipart upload.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub async fn create_upload(
        &self,
        request: CreateUpload,
    ) -> Result<UploadReceipt, MultipartError> {
        let _pass = self.enter()?;
        self.engine.create_upload(request).await
    }

    /// Stores a part.
    ///
    /// # Errors
    /// [`ObjectWriteError`].
    pub async fn upload_part(&self, request: UploadPart) -> Result<PartReceipt, ObjectWriteError> {
        let _pass = self.enter()?;
        self.engine.upload_part(request).await
    }

    /// Stores a part copied from an object.
    ///
    /// # Errors
    /// [`ObjectWriteError`].
    pub async fn upload_part_copy(
        &self,
        request: UploadPartCopy,
    ) -> Result<PartReceipt, ObjectWriteError> {
        let _pass = self.enter()?;
        self.engine.upload_part_copy(request).await
    }

    /// Makes an object of uploaded parts.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub async fn complete_upload(
        &self,
        request: CompleteUpload,
    ) -> Result<WriteReceipt, MultipartError> {
        let _pass = self.enter()?;
        self.engine.complete_upload(request).await
    }

    /// Ends an upload and gives its space back.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub async fn abort_upload(&self, upload: UploadRef) -> Result<(), MultipartError> {
        let _pass = self.enter()?;
        self.engine.abort_upload(upload).await
    }

    /// Lists the parts of an upload.
    ///
    /// # Errors
    /// [`MultipartError`].
    pub async fn list_parts(&self, request: ListParts) -> Result<PartPage, MultipartError> {
        let _pass = self.enter()?;
        self.engine.list_parts(request).await
    }

    /// Lists uploads under way.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn list_uploads(&self, request: ListUploads) -> Result<UploadPage, ListError> {
        let _pass = self.enter()?;
        self.engine.list_uploads(request).await
    }

    /// Where repair stands.
    ///
    /// # Errors
    /// [`Fault`] when the queues cannot be read.
    pub async fn repair_status(&self) -> Result<RepairStatus, Fault> {
        self.engine.data.repair_status().await
    }

    /// Starts a scrub pass on every device that is not in one, and compares what every device holds
    /// with what manifests say it should hold; what is missing is recreated.
    pub fn start_scrub(&self) {
        self.engine.data.start_scrub();
    }

    /// Where scrubbing stands.
    pub fn scrub_status(&self) -> ScrubStatus {
        self.engine.data.scrub_status()
    }

    /// Where lifecycle stands.
    pub fn lifecycle_status(&self) -> LifecycleStatus {
        self.engine.lifecycle.status(self.engine.lifecycle_day().len())
    }

    /// When the newest version of a key expires by its bucket's rules, if it stays as it is.
    pub fn expires(
        &self,
        bucket: &Bucket,
        key: &str,
        (len_bytes, tags): (u64, &[(String, String)]),
        modified: UnixMillis,
    ) -> Option<LifecycleDue> {
        self.engine.expires(bucket, Subject { key, len_bytes, tags }, modified)
    }

    /// When an upload is aborted by its bucket's rules, if it is not completed.
    pub fn aborts(&self, bucket: &Bucket, key: &str, upload: UploadId) -> Option<LifecycleDue> {
        self.engine.aborts(bucket, key, crate::multipart::started(upload))
    }

    /// The devices.
    pub fn devices(&self) -> Vec<DeviceReport> {
        self.engine.data.devices()
    }

    /// Puts another layout in place: `devices[i]` serves `layout.devices[i]`. Devices that stay keep
    /// what is known of them. Devices of draining nodes are read and deleted from, and take no new
    /// shards; those that left are no longer used once reads under way have ended.
    ///
    /// May be called again with the same layout, also with other services; a layout older than the
    /// one in place is ignored. Cancel-safe: a layout is in place, or it is not.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the layout contradicts itself, is of another cluster, or is another
    /// one of the same epoch; a fault of the metadata store, in which what is known of devices that
    /// join is recorded. The layout in place stays then.
    pub async fn apply_layout(
        &self,
        layout: Layout,
        devices: Vec<Arc<dyn ShardService>>,
    ) -> Result<(), Fault> {
        let _pass = self.enter()?;
        self.engine.data.apply_layout(layout, &devices).await
    }

    /// The long jobs that move shards: open ones, then those that ended, the last first.
    pub fn jobs(&self) -> Vec<JobReport> {
        self.engine.data.jobs().reports()
    }

    /// Stops a job until it is resumed, also across restarts. What it is about to commit is still
    /// committed.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn pause_job(&self, id: &str) -> Result<(), JobError> {
        let _pass = self.enter()?;
        self.engine.data.jobs().pause(id).await
    }

    /// Lets a paused job go on.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn resume_job(&self, id: &str) -> Result<(), JobError> {
        let _pass = self.enter()?;
        self.engine.data.jobs().resume(id).await
    }

    /// Stripe positions that metadata names on the devices of a node: while it is not zero, objects
    /// need the node. Zero for a node without devices in the layout. Reads the metadata of
    /// everything that shares placement groups with the node.
    ///
    /// # Errors
    /// [`Fault`] when rows cannot be read.
    pub async fn held_shards(&self, node: NodeId) -> Result<u64, Fault> {
        let _pass = self.enter()?;
        self.engine.data.held_shards(node).await
    }

    /// Counts usage anew from all rows and compares it with the counters; empty when they agree.
    /// Reads all metadata.
    ///
    /// # Errors
    /// [`Fault`] when rows cannot be read.
    pub async fn audit_usage(&self) -> Result<Vec<UsageDrift>, Fault> {
        let _pass = self.enter()?;
        self.engine.on_snapshot(audit).await
    }

    /// Stops taking work, waits for what is under way (downloads to their end) and stops the
    /// background workers. May be called again.
    pub async fn shutdown(&self) {
        self.engine.gate.close().await;
        self.background.stop().await;
        if let Err(fault) = self.engine.flush_access_log().await {
            tracing::error!(%fault, "the last lines of access logs are lost");
        }
        self.engine.commits.drain().await;
        self.engine.data.shutdown().await;
    }

    fn enter(&self) -> Result<Pass, Fault> {
        self.engine.gate.enter()
    }
}

/// Edges run requests on threads of their own choice, so the futures must be able to move.
const _: fn(&ObjectService, PutObject, GetObject, CopyObject, CompleteUpload, UploadPartCopy) =
    |service, put, get, copy, complete, part| {
        fn moves<F: Future + Send>(_: F) {}
        moves(service.put_object(put));
        moves(service.get_object(get));
        moves(service.copy_object(copy));
        moves(service.complete_upload(complete));
        moves(service.upload_part_copy(part));
    };

/// A body that counts as under way until it is dropped.
fn counted(body: ByteStream, pass: Pass) -> ByteStream {
    body.inspect(move |_| {
        let _ = &pass;
    })
    .boxed()
}
