import SwiftUI

@main
struct AtpnDemoApp: App {
    var body: some Scene {
        WindowGroup {
            CameraScreen()
        }
    }
}
