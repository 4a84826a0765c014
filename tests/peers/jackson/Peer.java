import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/**
 * What an OCN node's JSON library makes of a text, for comparison with ours. Lines in, lines out:
 *
 * <pre>
 * json BASE64     -> BASE64 of what Jackson writes after reading it untyped, or "!" if it refuses to read it
 * double HEXBITS  -> Double.toString
 * float HEXBITS   -> Float.toString
 * </pre>
 */
public final class Peer {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private Peer() {}

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int space = line.indexOf(' ');
            out.print(answer(line.substring(0, space), line.substring(space + 1)));
            out.print('\n');
        }
        out.flush();
    }

    private static String answer(String kind, String operand) throws IOException {
        switch (kind) {
            case "json":
                return rewritten(new String(Base64.getDecoder().decode(operand), StandardCharsets.UTF_8));
            case "double":
                return Double.toString(Double.longBitsToDouble(Long.parseUnsignedLong(operand, 16)));
            case "float":
                return Float.toString(Float.intBitsToFloat(Integer.parseUnsignedInt(operand, 16)));
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    private static String rewritten(String text) throws IOException {
        try {
            String written = MAPPER.writeValueAsString(MAPPER.readValue(text, Object.class));
            return Base64.getEncoder().encodeToString(written.getBytes(StandardCharsets.UTF_8));
        } catch (JsonProcessingException refused) {
            return "!";
        }
    }
}
