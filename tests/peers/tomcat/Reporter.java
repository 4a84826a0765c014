import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/**
 * The server that an OCN node runs on, with one servlet that tells what it has read. First line out: the port; then for
 * each request that was read to its end: method, target and body, each in base64, separated by spaces. Ends with its
 * standard input.
 */
public final class Reporter extends HttpServlet {
    private static final long serialVersionUID = 1L;
    private static final PrintStream OUT = System.out;

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(arguments[0]);
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(0);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", new File(arguments[0]).getAbsolutePath());
        Tomcat.addServlet(context, "reporter", new Reporter());
        context.addServletMappingDecoded("/*", "reporter");
        tomcat.start();
        OUT.println(tomcat.getConnector().getLocalPort());
        OUT.flush();
        while (System.in.read() >= 0) {
            // only its end matters
        }
        tomcat.stop();
        System.exit(0);
    }

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        byte[] body = request.getInputStream().readAllBytes();
        String query = request.getQueryString();
        String target = request.getRequestURI() + (query == null ? "" : "?" + query);
        String line = text(request.getMethod()) + " " + text(target) + " " + encoded(body);
        synchronized (OUT) {
            OUT.println(line);
            OUT.flush();
        }
        byte[] answer = "{\"status_code\":1000,\"timestamp\":\"2026-03-01T10:00:00Z\"}".getBytes(StandardCharsets.UTF_8);
        response.setContentType("application/json");
        response.setHeader("X-Seen", target);
        response.setContentLength(answer.length);
        response.getOutputStream().write(answer);
    }

    private static String text(String plain) {
        return encoded(plain.getBytes(StandardCharsets.ISO_8859_1));
    }

    private static String encoded(byte[] bytes) {
        return bytes.length == 0 ? "-" : Base64.getEncoder().encodeToString(bytes);
    }
}
