import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;

/** An engine in small: posts SOAP to a URL through the JVM's proxy and truststore settings. */
public class Probe {
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < 2; i++) {
            HttpURLConnection c = (HttpURLConnection) URI.create(args[0]).toURL().openConnection();
            c.setRequestMethod("POST");
            c.setDoOutput(true);
            c.setChunkedStreamingMode(0);
            c.setRequestProperty("Content-Type", "text/xml");
            try (OutputStream out = c.getOutputStream()) {
                out.write("<e/>".getBytes("UTF-8"));
            }
            System.out.print(c.getResponseCode() + new String(c.getInputStream().readAllBytes(), "UTF-8") + " ");
        }
    }
}
