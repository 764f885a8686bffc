package securecart;

import java.io.FileWriter;
import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/** The local file system that writes down what Spark and Iceberg ask of it: time, operation, path. */
public class RecordingFileSystem extends RawLocalFileSystem {
  private static FileWriter out;

  private static synchronized void note(String operation, Path path) throws IOException {
    if (out == null) out = new FileWriter(System.getenv("SECURECART_RECORD"), true);
    out.write(System.currentTimeMillis() + "\t" + operation + "\t" + path.toUri().getPath() + "\n");
    out.flush();
  }

  public FSDataInputStream open(Path path, int buffer) throws IOException {
    note("open", path);
    return super.open(path, buffer);
  }

  public FSDataOutputStream create(Path path, boolean overwrite, int buffer, short replication, long block,
      Progressable progress) throws IOException {
    note("create", path);
    return super.create(path, overwrite, buffer, replication, block, progress);
  }

  public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int buffer, short replication,
      long block, Progressable progress) throws IOException {
    note("create", path);
    return super.create(path, permission, overwrite, buffer, replication, block, progress);
  }

  public boolean rename(Path from, Path to) throws IOException {
    note("rename-from", from);
    note("rename-to", to);
    return super.rename(from, to);
  }

  public boolean delete(Path path, boolean recursive) throws IOException {
    note("delete", path);
    return super.delete(path, recursive);
  }

  public FileStatus[] listStatus(Path path) throws IOException {
    note("list", path);
    return super.listStatus(path);
  }

  public FileStatus getFileStatus(Path path) throws IOException {
    note("status", path);
    return super.getFileStatus(path);
  }

  public boolean mkdirs(Path path) throws IOException {
    note("mkdirs", path);
    return super.mkdirs(path);
  }
}
