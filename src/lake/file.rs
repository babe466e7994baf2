//! A location's files as bytes, for COPY.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Lake, Location};
use crate::catalog::CatalogState;
use crate::error::{Plain, SqlError, SqlState};

/// One file of a location.
#[derive(Debug)]
pub struct LakeFile {
    store: Arc<dyn ObjectStore>,
    object: ObjectMeta,
}

impl LakeFile {
    /// Its last name.
    pub fn name(&self) -> &str {
        self.object.location.filename().unwrap_or_default()
    }

    /// Its bytes from the first on, decompressed as its name says.
    pub async fn read(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let stored = self.store.get(&self.object.location).await?.into_stream();
        let compression: FileCompressionType = compression_of(self.name()).parse()?;
        compression.convert_stream(stored.map_err(Into::into).boxed())
    }
}

impl Lake {
    /// The files of a location, by name. `58P01` if there are none, `42704` without a credential.
    pub async fn files(
        &self,
        catalog: &CatalogState,
        session: &dyn Session,
        location: &Location,
    ) -> Result<Vec<LakeFile>, SqlError> {
        let store = self.store(catalog, location)?;
        let url = ListingTableUrl::parse(location.url().as_str()).map_err(SqlError::from_engine)?;
        let objects = list(&store, session, &url).await?;
        if objects.is_empty() {
            return Err(no_files(location).into());
        }
        Ok(objects.into_iter().map(|object| LakeFile { store: Arc::clone(&store), object }).collect())
    }
}

/// The files below a location, by name.
pub(super) async fn list(
    store: &Arc<dyn ObjectStore>,
    session: &dyn Session,
    url: &ListingTableUrl,
) -> Result<Vec<ObjectMeta>, SqlError> {
    let listed = url.list_all_files(session, store.as_ref(), "").await.map_err(SqlError::from_engine)?;
    let mut objects: Vec<_> = listed.try_collect().await.map_err(SqlError::from_engine)?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(objects)
}

pub(super) fn no_files(location: &Location) -> Plain {
    Plain::new(SqlState::UNDEFINED_FILE, format!("there are no files at \"{location}\""))
}

/// How a file is compressed, by its name; in the engine's words.
pub(super) fn compression_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("gz" | "gzip") => "gzip",
        Some("bz2") => "bzip2",
        Some("xz") => "xz",
        Some("zst" | "zstd") => "zstd",
        _ => "uncompressed",
    }
}
