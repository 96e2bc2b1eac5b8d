//! The typed requests and answers of the service.

mod body;
mod bucket;
mod encryption;
mod error;
mod job;
mod lifecycle;
mod list;
mod lock;
mod multipart;
mod object;
mod status;
mod version;

pub use body::{
    BodyError, ByteStream, ChecksumRequest, ExpectedChecksum, ExpectedDigests, IncomingBody,
    MalformedTrailer,
};
pub use bucket::{BucketPage, CreateBucket, ListBuckets};
pub use encryption::{CustomerKey, EncryptionError, EncryptionRequest};
pub use error::{
    BucketError, DeleteError, DigestKind, Fault, InvalidPart, ListError, ListedConfigError,
    LockError, MultipartError, ObjectReadError, ObjectWriteError, RenameError, TaggingError,
};
pub use job::{JobError, JobKind, JobReport, JobState};
pub use lifecycle::{LifecyclePass, LifecycleStatus};
pub use list::{ListEntry, ListObjects, ListPage};
pub use lock::PutRetention;
pub use multipart::{
    CompletePart, CompleteUpload, CreateUpload, ListParts, ListUploads, PartInfo, PartPage,
    PartReceipt, UploadInfo, UploadPage, UploadPart, UploadPartCopy, UploadReceipt, UploadRef,
};
pub use object::{
    CopyObject, CopyReceipt, CopySource, DeleteObject, DeleteReceipt, ETagCondition, GetObject,
    MetadataDirective, ObjectAttributes, ObjectInfo, ObjectRead, ObjectRef, PutObject,
    RangeRequest, ReadCondition, RenameObject, ResolvedRange, TaggingDirective, WriteCondition,
    WriteReceipt,
};
pub use status::{BreakerState, DeviceReport, RepairStatus, ScrubStatus};
pub use version::{ListVersions, VersionEntry, VersionMarker, VersionPage};
